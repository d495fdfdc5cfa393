"""What tests stand on: servers, voices, clocks and inputs that take the place of the world."""
