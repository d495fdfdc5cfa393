from .book import Limits as Limits
from .gate import Gate as Gate
from .gate import LocalGate as LocalGate
from .gate import Reservation as Reservation
