"""What happens between a judge and the server that it runs in; free of the server itself."""
