"""One player's conversation with one realtime model. The Python tau.

```python
async with create_session(voice="marin", endpoint="wss://...", api_key=key) as session:
    await session.system("Speak softly.")
    await session.user("Where does the wind come from?")
    response = await session.response()
    print(response.transcript, response.audio.duration_s)
```
"""

from tau_stage.protocol.responses import AudioChunk, ResponseEnded, TextChunk
from tau_stage.session.opening import create_session, key_for, open_session
from tau_stage.session.session import Session
from tau_stage.session.tools import Tool
from tau_stage.session.waiting import Deadlines, Receipt, ResponseStream

__all__ = [
    "AudioChunk",
    "Deadlines",
    "Receipt",
    "ResponseEnded",
    "ResponseStream",
    "Session",
    "TextChunk",
    "Tool",
    "create_session",
    "key_for",
    "open_session",
]
