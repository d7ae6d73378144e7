"""What several test modules share: the gateway in this process, and in processes of its own."""
