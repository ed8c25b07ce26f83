"""Asks the shop as often as it is told; prints how often which status came. A second argument is the user to ask as."""

import collections
import http.client
import os
import sys

count, *users = sys.argv[1:]
shop = http.client.HTTPConnection(os.environ["SHOP_SERVICE_HOST"], int(os.environ["SHOP_SERVICE_PORT"]))
statuses: collections.Counter[int] = collections.Counter()
for _ in range(int(count)):
    shop.request("GET", "/", headers={"x-user": users[0]} if users else {})
    answer = shop.getresponse()
    answer.read()
    statuses[answer.status] += 1
for status, times in sorted(statuses.items()):
    print(status, times)
