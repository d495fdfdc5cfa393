"""The machine's own devices: microphones, loudspeakers, keyboards, and what is played on them."""
