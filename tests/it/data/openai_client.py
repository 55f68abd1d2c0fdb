"""The clients `openai` and `langchain-openai` against a running daemon: python openai_client.py URL.

The daemon knows a document about a heron and a pond, and a backend `server` with the models `plain`, `cut` and others.
"""
import sys

import openai
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

url = sys.argv[1] + "/v1"
client = openai.OpenAI(base_url=url, api_key="none", max_retries=0)
question = [{"role": "user", "content": "Where does the heron stand?"}]

models = [model.id for model in client.models.list()]
assert models[0] == "smartrag" and "server/plain" in models and "smartrag/birds" in models, models
assert client.models.retrieve("server/plain").owned_by == "server"

whole = client.chat.completions.create(model="smartrag", messages=question, temperature=0.1, user="somebody")
assert whole.choices[0].message.content == "The heron stands in the pond [1].", whole
assert whole.choices[0].finish_reason == "stop" and whole.usage.total_tokens == 13, whole
assert whole.citations[0]["filename"] == "pond.md" and whole.citations[0]["citation"] == 1, whole

stream = client.chat.completions.create(
    model="smartrag", messages=question, stream=True, stream_options={"include_usage": True}
)
chunks = list(stream)
text = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
assert text == "The heron stands in the pond [1].", text
assert chunks[0].choices[0].delta.role == "assistant"
assert chunks[-1].usage.prompt_tokens == 7 and not chunks[-1].choices, chunks[-1]
assert [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices][-1] == "stop"
cited = [chunk for chunk in chunks if getattr(chunk, "citations", None)]
assert len(cited) == 1 and cited[0].citations[0]["filename"] == "pond.md", cited

parts = [{"role": "user", "content": [{"type": "text", "text": "Where does the heron stand?"}]}]
assert client.chat.completions.create(model="smartrag", messages=parts).citations

bare = client.chat.completions.create(model="server/plain", messages=[{"role": "system", "content": "Be brief."}, *question])
assert bare.citations == [], bare

task = [{"role": "user", "content": "### Task:\nGenerate a concise title for: where does the heron stand?"}]
assert client.chat.completions.create(model="smartrag", messages=task).citations == []


def refused(kind, call):
    try:
        call()
    except kind as error:
        return error
    raise AssertionError(f"no {kind.__name__}")


error = refused(openai.NotFoundError, lambda: client.chat.completions.create(model="gpt-4", messages=question))
assert error.code == "model_not_found" and error.param == "model", error
error = refused(openai.UnprocessableEntityError, lambda: client.chat.completions.create(model="smartrag", messages=[]))
assert error.param == "messages" and error.type == "invalid_request_error", error
refused(openai.InternalServerError, lambda: client.chat.completions.create(model="server/broken", messages=question))
refused(
    openai.APIError,
    lambda: list(client.chat.completions.create(model="server/cut", messages=question, stream=True)),
)
refused(openai.NotFoundError, lambda: client.models.retrieve("nothing"))

floats = client.embeddings.create(model="any", input=["a heron", "a pond"], encoding_format="float")
assert len(floats.data) == 2 and abs(sum(x * x for x in floats.data[0].embedding) - 1) < 1e-3
base64 = client.embeddings.create(model="any", input=["a heron", "a pond"])
assert all(abs(a - b) < 1e-6 for a, b in zip(floats.data[1].embedding, base64.data[1].embedding))
short = client.embeddings.create(model="any", input="a heron", dimensions=64)
assert len(short.data[0].embedding) == 64 and short.usage.total_tokens > 0
error = refused(openai.BadRequestError, lambda: client.embeddings.create(model="any", input=[[1, 2, 3]]))
assert "check_embedding_ctx_length" in error.message, error

chat = ChatOpenAI(base_url=url, api_key="none", model="smartrag", max_retries=0)
assert chat.invoke("Where does the heron stand?").content == "The heron stands in the pond [1]."
assert "".join(chunk.text for chunk in chat.stream("Where does the heron stand?")) == "The heron stands in the pond [1]."
embeddings = OpenAIEmbeddings(base_url=url, api_key="none", model="any", check_embedding_ctx_length=False, max_retries=0)
assert len(embeddings.embed_query("a heron")) == len(floats.data[0].embedding)

rerank = client.post(
    "/rerank",
    cast_to=object,
    body={"model": "any", "query": "heron in the pond", "documents": ["a fish", {"text": "the heron in the pond"}], "top_n": 1},
)
assert rerank["results"][0]["index"] == 1 and len(rerank["results"]) == 1, rerank
print("all of it works")
