"""One player's conversation with one realtime model. The Python tau.

```python
async with create_session(voice="marin", endpoint="wss://...", api_key=key) as session:
    await session.system("Speak softly.")
    await session.user("Where does the wind come from?")
    response = await session.response()
    print(response.transcript, response.audio.duration_s)
```
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
