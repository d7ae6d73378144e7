"""What we learned about endpoints. Pure: time is an argument."""
