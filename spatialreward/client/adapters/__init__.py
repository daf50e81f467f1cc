"""The served judge as the reward of other people's training loops; one module a framework."""
