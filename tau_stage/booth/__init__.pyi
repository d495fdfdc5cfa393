from .booth_server import announced as announced
from .booth_server import former_address as former_address
from .booth_server import open_booth as open_booth
from .hub import Hub as Hub
from .past_takes import attach as attach
