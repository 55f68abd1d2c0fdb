"""The client `ollama` against a running daemon: python ollama_client.py URL.

The daemon knows a document about a heron and a pond, a collection `birds`, and a backend `server` with the models `plain`,
`cut` and others. URL is that of Ollama's dialect.
"""
import json
import sys

import ollama
import httpx

url = sys.argv[1]
client = ollama.Client(host=url)
question = [{"role": "user", "content": "Where does the heron stand?"}]
expected = "The heron stands in the pond [1]."

assert httpx.get(url).text == "Ollama is running" and httpx.head(url).status_code == 200
assert httpx.get(url + "/api/version").json()["version"].count(".") == 2

names = [model.model for model in client.list().models]
assert names[0] == "smartrag:latest" and "smartrag/birds:latest" in names and "server/plain:latest" in names, names
assert all(len(model.digest) == 64 and model.modified_at for model in client.list().models)
assert [model.model for model in client.ps().models] == names
shown = client.show("smartrag:latest")
assert shown.capabilities == ["completion"] and shown.details.family == "smartrag", shown
assert client.show("server/plain").details.family == "server"

whole = client.chat(model="smartrag:latest", messages=question, options={"temperature": 0.1, "num_ctx": 4096})
assert whole.message.content == expected and whole.message.role == "assistant", whole
assert whole.done and whole.done_reason == "stop" and (whole.prompt_eval_count, whole.eval_count) == (7, 6), whole
assert whole.total_duration > 0

pieces = list(client.chat(model="smartrag", messages=question, stream=True, think=False, keep_alive="5m"))
assert "".join(piece.message.content for piece in pieces) == expected
assert len(pieces) > 2 and [piece.done for piece in pieces].index(True) == len(pieces) - 1, pieces
assert pieces[-1].eval_count == 6

once = client.generate(model="smartrag", prompt="Where does the heron stand?", system="Be brief.")
assert once.response == expected and once.done, once
pieces = client.generate(model="smartrag", prompt="Where does the heron stand?", stream=True)
assert "".join(piece.response for piece in pieces) == expected
assert client.generate(model="smartrag").done_reason == "load"
assert client.chat(model="server/plain", messages=question).message.content.startswith("The heron stands"), "bare"

raw = httpx.post(url + "/api/chat", content='{"model": "smartrag", "messages": [{"role": "user", "content": "Where?"}]}')
assert raw.headers["content-type"] == "application/x-ndjson", raw.headers
last = json.loads(raw.text.strip().split("\n")[-1])
assert last["done"] and last["citations"][0]["filename"] == "pond.md", last

vectors = client.embed(model="any", input=["a heron", "a pond"])
assert len(vectors.embeddings) == 2 and len(vectors.embeddings[0]) > 100 and vectors.prompt_eval_count > 0
assert len(client.embed(model="any", input="a heron", dimensions=8).embeddings[0]) == 8
assert client.embeddings(model="any", prompt="a heron").embedding == vectors.embeddings[0]


def refused(status, says, call):
    try:
        call()
    except ollama.ResponseError as error:
        assert error.status_code == status and says in error.error, (error.status_code, error.error)
        return
    raise AssertionError(f"{says}: not refused")


refused(404, "there is no model", lambda: client.chat(model="llama3", messages=question))
refused(422, "temperature", lambda: client.chat(model="smartrag", messages=question, options={"temperature": 9}))
refused(422, "images", lambda: client.chat(model="smartrag", messages=[{**question[0], "images": [b"x"]}]))
refused(404, "nothing at this path", lambda: client.pull("llama3"))
refused(502, "out of memory", lambda: client.chat(model="server/broken", messages=question))
# In the middle of a stream.
try:
    list(client.chat(model="server/cut", messages=question, stream=True))
    raise AssertionError("a cut answer passes for a whole one")
except ollama.ResponseError as error:
    assert "broke off" in error.error, error

print("all of it works")
