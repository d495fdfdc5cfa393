from .hub import Hub as Hub
from .past_takes import attach as attach
from .server import announced as announced
from .server import former_address as former_address
from .server import open_booth as open_booth
