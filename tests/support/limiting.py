"""A server of Envoy's rate limit protocol for tests, run as a program: ``limiting.py PORT LIMIT``.

It lets each descriptor through ``LIMIT`` times, for ever, and says what it was asked on its output.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

import grpc

from mizzen.stubs.envoy.service.ratelimit.v3.rls_pb2 import RateLimitRequest, RateLimitResponse

_SERVICE, _METHOD = "envoy.service.ratelimit.v3.RateLimitService", "ShouldRateLimit"


class Limiting:
    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._seen: Counter[str] = Counter()

    async def should_rate_limit(
        self, request: RateLimitRequest, _: grpc.aio.ServicerContext[RateLimitRequest, RateLimitResponse]
    ) -> RateLimitResponse:
        asked = [
            ",".join(f"{entry.key}={entry.value}" for entry in descriptor.entries) for descriptor in request.descriptors
        ]
        print(request.domain, *asked, flush=True)
        self._seen.update(f"{request.domain} {one}" for one in asked)
        over = any(self._seen[f"{request.domain} {one}"] > self._limit for one in asked)
        return RateLimitResponse(overall_code=RateLimitResponse.OVER_LIMIT if over else RateLimitResponse.OK)


async def main(port: int, limit: int) -> None:
    method: grpc.RpcMethodHandler[RateLimitRequest, RateLimitResponse] = grpc.unary_unary_rpc_method_handler(
        Limiting(limit).should_rate_limit,
        request_deserializer=RateLimitRequest.FromString,
        response_serializer=RateLimitResponse.SerializeToString,
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: method}),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    asyncio.run(main(*map(int, sys.argv[1:3])))
