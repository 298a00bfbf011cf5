"""What runs where: processors, devices, lanes and compiled programs."""
