"""A server of many protocols for tests of whole meshes, run as a program: ``speaking.py http=PORT grpc=PORT first=PORT``.

``http`` speaks HTTP/1.1, and WebSockets whose frames it sends back as they are; ``grpc`` speaks gRPC in messages that nobody
reads; ``first`` greets whoever connects, and sends back what it hears.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import sys
from collections.abc import AsyncIterator

import grpc

GREETING = b"hello\n"
_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3


async def _greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(GREETING)
    await _send_back(reader, writer)


async def _send_back(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def _serve_http(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            line, *rest = head.decode().splitlines()
            headers = {name.lower(): value.strip() for name, _, value in (one.partition(":") for one in rest)}
            if headers.get("upgrade") == "websocket":
                writer.write(_accepted(headers["sec-websocket-key"]))
                return await _send_back(reader, writer)
            if headers.get("expect") == "100-continue":
                writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            told = json.dumps({"line": line, "by": headers.get("x-forwarded-client-cert", ""), "body": len(body)})
            writer.write(f"HTTP/1.1 200 OK\r\ncontent-length: {len(told)}\r\n\r\n{told}".encode())
            await writer.drain()
    except asyncio.IncompleteReadError:
        writer.close()


def _accepted(key: str) -> bytes:
    accept = base64.b64encode(hashlib.sha1(key.encode() + _ACCEPT, usedforsecurity=False).digest()).decode()
    head = ("HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade")
    return "\r\n".join([*head, f"Sec-WebSocket-Accept: {accept}", "", ""]).encode()


async def _say(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
    context.set_trailing_metadata((("x-trailer", "last"),))
    return request


async def _go_on(requests: AsyncIterator[bytes], _: grpc.aio.ServicerContext[bytes, bytes]) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def _serve_grpc(port: int) -> None:
    server = grpc.aio.server()
    methods: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
        "Say": grpc.unary_unary_rpc_method_handler(_say),
        "GoOn": grpc.stream_stream_rpc_method_handler(_go_on),
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("test.Echo", methods),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


async def main(*ports: str) -> None:
    async with asyncio.TaskGroup() as tasks:
        for kind, _, number in (one.partition("=") for one in ports):
            if kind == "grpc":
                tasks.create_task(_serve_grpc(int(number)))
            else:
                server = await asyncio.start_server(_serve_http if kind == "http" else _greet, "127.0.0.1", int(number))
                tasks.create_task(server.serve_forever())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
