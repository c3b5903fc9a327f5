"""What is run by hand or by make around this project: the local stack, the demo, the measurements, generated files."""
