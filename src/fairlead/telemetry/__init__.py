"""What is told about requests afterwards."""
