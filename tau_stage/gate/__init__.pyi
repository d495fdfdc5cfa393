from .book import GateLimits as GateLimits
from .gate import Gate as Gate
from .gate import LocalGate as LocalGate
from .gate import Reservation as Reservation
from .gate_server import open_gate_server as open_gate_server
from .messages import Status as Status
from .remote_gate import TOKEN as TOKEN
from .remote_gate import open_gate as open_gate
