"""The layer between a judge and its inference server; free of the server itself."""
