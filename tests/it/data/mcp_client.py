"""The client `mcp` against a running daemon: python mcp_client.py URL SMARTRAG.

Over HTTP at URL/mcp and over the standard input and output of the program SMARTRAG. The daemon knows a document about a
heron and a pond.
"""
import asyncio
import sys

import httpx
from mcp import Client, MCPError, StdioServerParameters

url, program = sys.argv[1:]
tools = {"search", "fetch", "ask", "list_documents", "ingest_text"}


async def use(client, name):
    listed = (await client.list_tools()).tools
    assert {tool.name for tool in listed} == tools, listed
    assert all(tool.description and tool.annotations for tool in listed)
    properties = next(tool for tool in listed if tool.name == "search").input_schema["properties"]
    assert set(properties) == {"query", "top_k", "collection", "filter"} and properties["query"]["description"]

    async def call(tool, **arguments):
        result = await client.call_tool(tool, arguments)
        assert not result.is_error, result
        return result

    found = (await call("search", query="Where does the heron stand?", top_k=3)).structured_content["results"]
    assert found[0]["title"] == "pond.md" and "heron" in found[0]["text"], found
    read = (await call("fetch", id=found[0]["id"])).structured_content
    assert "waits for a fish" in read["text"] and read["title"] == "pond.md" and read["next_offset"] is None, read
    assert (await call("fetch", id=found[0]["chunk_id"], offset=2)).structured_content["text"] == read["text"][2:]

    asked = await call("ask", question="Where does the heron stand?")
    assert "pond" in asked.content[0].text and "[1] pond.md" in asked.content[0].text, asked
    again = await call("ask", question="And for what?", conversation_id=asked.structured_content["conversation_id"])
    assert again.structured_content["conversation_id"] == asked.structured_content["conversation_id"]

    taken = (await call("ingest_text", filename=f"{name}.md", text=f"The pelican of {name} fishes.", tags=[name]))
    assert taken.structured_content["status"] == "ready", taken
    listed = (await call("list_documents", tag=name)).structured_content["documents"]
    assert [document["title"] for document in listed] == [f"{name}.md"], listed
    assert (await call("fetch", id=listed[0]["id"])).structured_content["metadata"]["tags"] == [name]
    first = (await call("list_documents", limit=1)).structured_content
    rest = (await call("list_documents", cursor=first["next_cursor"])).structured_content
    assert len(first["documents"]) == 1 and rest["documents"], (first, rest)

    for tool, arguments, says in [
        ("search", {"query": ""}, "query"),
        ("search", {"query": "x", "top_k": 1000}, "top_k"),
        ("fetch", {"id": "nothing"}, "not_found"),
        ("ingest_text", {"filename": "a.md", "text": ""}, "empty"),
        ("ask", {"question": "x", "conversation_id": "nothing"}, "not_found"),
    ]:
        result = await client.call_tool(tool, arguments)
        assert result.is_error and says in result.content[0].text, (tool, arguments, result)
    for tool, arguments in [("forget", {}), ("search", {"topk": 3})]:
        try:
            result = await client.call_tool(tool, arguments)
            assert result.is_error, result
        except MCPError as error:
            assert error.error.code in (-32601, -32602), error


async def both():
    async with Client(url + "/mcp") as client:
        assert "documents" in client.instructions, client.instructions
        await use(client, "http")
    program_of = lambda address: StdioServerParameters(command=program, args=["mcp", "--url", address])
    async with Client(program_of(url)) as client:
        await use(client, "stdio")
    async with Client(program_of("http://127.0.0.1:9")) as client:
        result = await client.call_tool("search", {"query": "x"})
        assert result.is_error and "smartrag serve" in result.content[0].text, result


asyncio.run(both())

# What the library does not send.
headers = {"accept": "application/json, text/event-stream"}
call = {"jsonrpc": "2.0", "id": 1, "method": "no/such/method"}
answer = httpx.post(url + "/mcp", json=call, headers=headers).json()
assert answer["error"]["code"] == -32601, answer
foreign = httpx.post(url + "/mcp", json=call, headers={**headers, "origin": "https://evil.example"})
assert foreign.status_code == 403 and foreign.json()["code"] == "origin_not_allowed", foreign.text
rebound = httpx.post(url + "/mcp", json=call, headers={**headers, "host": "evil.example"})
assert rebound.status_code == 403 and rebound.json()["code"] == "host_not_allowed", rebound.text
broken = httpx.post(url + "/mcp", content="{", headers={**headers, "content-type": "application/json"})
assert 400 <= broken.status_code < 500, broken
listing = {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {"name": "list_documents", "arguments": {}}}
other = httpx.post(url + "/mcp", json=listing, headers={**headers, "x-smartrag-user": "somebody-else"}).json()
assert other["result"]["structuredContent"]["documents"] == [], other
print("all of it works")
