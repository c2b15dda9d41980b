"""A service whose callers need an API key, with FastAPI: it asks rndrkit about each request."""

import asyncio
import logging
import os

import httpx
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

TIMEOUT_SECONDS = 1.0

# Neither a proxy from the environment nor a redirect gets the token to see.
rndrkit = httpx.AsyncClient(
    base_url=os.environ.get("KEYS_URL", "http://127.0.0.1:8081"),
    headers={"Authorization": f"Bearer {os.environ['KEYS_TOKEN']}"},
    trust_env=False,
)

# What a caller gets when rndrkit does not answer. Never 401: his key may be as good as ever.
DETAIL = "The API key could not be checked just now. This says nothing about your key; try again."
UNAVAILABLE = {
    "valid": False,
    "status": 503,
    "headers": {"Content-Type": "application/problem+json", "Cache-Control": "no-store", "Retry-After": "1"},
    "problem": {
        "type": "urn:rndrkit:problem:unavailable",
        "title": "Temporarily unavailable",
        "status": 503,
        "code": "unavailable",
        "detail": DETAIL,
        "error": DETAIL,
    },
}


async def verify(request: Request) -> dict:
    """Asks, and keeps no answer: a key that is deleted now is refused on the next request."""
    question = {
        # Longer is no key. Of several headers all are sent on, with commas, which rndrkit refuses.
        "secret": ", ".join(request.headers.getlist("X-Api-Key"))[:1024],
        "context": {
            "ip": request.client.host if request.client else None,
            "method": request.method,
            "path": request.url.path[:1024],
        },
    }
    try:
        asked = rndrkit.post("/v1/keys/verify", json=question)
        reply = await asyncio.wait_for(asked, TIMEOUT_SECONDS)
        if reply.status_code != 200:
            raise ValueError(f"rndrkit answered {reply.status_code}")
        answer = reply.json()
        if not isinstance(answer["valid"], bool):
            raise ValueError("this is not an answer of rndrkit")
        return answer
    except (httpx.HTTPError, asyncio.TimeoutError, ValueError, LookupError, TypeError) as error:
        logging.getLogger("uvicorn.error").error("API keys cannot be checked: %r", error)
        return UNAVAILABLE


api = FastAPI()


@api.middleware("http")
async def require_api_key(request: Request, call_next):
    answer = await verify(request)
    if answer["valid"] is not True:
        return JSONResponse(answer["problem"], answer["status"], answer["headers"])
    request.state.account = answer["account"]
    response = await call_next(request)
    response.headers.update(answer["headers"])
    return response


@api.get("/reports")
async def reports(request: Request):
    return {"account_id": request.state.account["id"]}


# Everything below /api needs a key. What is mounted elsewhere does not.
app = FastAPI()
app.mount("/api", api)
