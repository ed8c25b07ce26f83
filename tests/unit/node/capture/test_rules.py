from ipaddress import IPv4Address, IPv4Network

from inline_snapshot import snapshot

from mizzen.compile.names import OUTBOUND_CAPTURE_PORT, PROXY_DNS_PORT, RESERVED_PORTS
from mizzen.node.capture import rules
from mizzen.node.capture.rules import Stage


def test_namespace_rules() -> None:
    assert rules.namespace_rules(IPv4Address("10.200.16.1")) == snapshot("""\
table ip mizzen {
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr 10.200.16.1 udp dport 53 redirect to :15053
    ip daddr 10.200.16.1 tcp dport 53 tcp flags & (syn | ack) == syn redirect to :15053
    oifname "lo" ip saddr 127.0.0.6 return
    oifname "lo" meta skgid 1337 ip daddr != 127.0.0.0/8 tcp flags & (syn | ack) == syn redirect to :15006
    meta skgid 1337 return
    udp dport 53 redirect to :15053
    tcp dport 53 tcp flags & (syn | ack) == syn redirect to :15053
    oifname "lo" return
    tcp flags & (syn | ack) == syn redirect to :15001
  }
  chain virtual {
    type filter hook output priority 0; policy accept;
    ip daddr 240.240.0.0/16 reject
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    iifname "eth0" tcp dport != { 15006, 15020, 15021, 15090 } tcp flags & (syn | ack) == syn redirect to :15006
  }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname != "lo" tcp dport != { 15006, 15020, 15021, 15090 } tcp flags & (syn | ack) == syn reject with tcp reset
  }
}
""")


def test_rules_of_an_attached_namespace() -> None:
    assert rules.attached_rules(Stage.CAPTURED, resolver_inside=False, ipv6=True) == snapshot("""\
add table ip mizzen-attached
delete table ip mizzen-attached
add table ip6 mizzen-attached
delete table ip6 mizzen-attached
table ip mizzen-attached {
  chain output {
    type nat hook output priority -110; policy accept;
    meta mark 0x6d7a meta l4proto { tcp, udp } th dport 53 return
    udp dport 53 redirect to :15053
    tcp dport 53 tcp flags & (syn | ack) == syn redirect to :15053
    oifname "lo" ip saddr 127.0.0.6 return
    oifname "lo" meta skgid 1337 ip daddr != 127.0.0.0/8 tcp flags & (syn | ack) == syn redirect to :15006
    meta skgid 1337 return
    oifname "lo" return
    tcp flags & (syn | ack) == syn redirect to :15001
  }
  chain prerouting {
    type nat hook prerouting priority -110; policy accept;
    iifname != "lo" fib daddr type local tcp dport != { 15006, 15020, 15021, 15090 } tcp flags & (syn | ack) == syn redirect to :15006
  }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname != "lo" tcp dport != { 15006, 15020, 15021, 15090 } tcp flags & (syn | ack) == syn reject with tcp reset
  }
  chain virtual {
    type filter hook output priority 0; policy accept;
    ip daddr 240.240.0.0/16 reject
  }
}
table ip6 mizzen-attached {
  chain output {
    type filter hook output priority 0; policy accept;
    oifname "lo" accept
    meta skgid 1337 accept
    udp dport 53 reject
    tcp flags & (syn | ack) == syn reject with tcp reset
  }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname "lo" accept
    tcp flags & (syn | ack) == syn reject with tcp reset
  }
}
""")


def test_rules_of_an_attached_namespace_with_a_resolver_inside_and_no_ipv6() -> None:
    assert rules.attached_rules(Stage.CAPTURED, resolver_inside=True, ipv6=False) == snapshot("""\
add table ip mizzen-attached
delete table ip mizzen-attached
table ip mizzen-attached {
  chain output {
    type nat hook output priority -110; policy accept;
    meta mark 0x6d7a meta l4proto { tcp, udp } th dport 53 return
    ip daddr 127.0.0.0/8 udp dport 53 redirect to :15053
    ip daddr 127.0.0.0/8 tcp dport 53 tcp flags & (syn | ack) == syn redirect to :15053
    oifname "lo" ip saddr 127.0.0.6 return
    oifname "lo" meta skgid 1337 ip daddr != 127.0.0.0/8 tcp flags & (syn | ack) == syn redirect to :15006
    meta skgid 1337 return
    tcp dport 53 return
    oifname "lo" return
    tcp flags & (syn | ack) == syn redirect to :15001
  }
  chain prerouting {
    type nat hook prerouting priority -110; policy accept;
    iifname != "lo" fib daddr type local tcp dport != { 15006, 15020, 15021, 15090 } tcp flags & (syn | ack) == syn redirect to :15006
  }
  chain input {
    type filter hook input priority 0; policy accept;
    iifname != "lo" tcp dport != { 15006, 15020, 15021, 15090 } tcp flags & (syn | ack) == syn reject with tcp reset
  }
  chain virtual {
    type filter hook output priority 0; policy accept;
    ip daddr 240.240.0.0/16 reject
  }
}
""")


def test_a_resolver_inside_may_ask_others_over_ipv6() -> None:
    assert chain(rules.attached_rules(Stage.CAPTURED, resolver_inside=True, ipv6=True), "ip6", "output") == snapshot("""\
  chain output {
    type filter hook output priority 0; policy accept;
    oifname "lo" accept
    meta skgid 1337 accept
    meta l4proto { tcp, udp } th dport 53 accept
    tcp flags & (syn | ack) == syn reject with tcp reset
  }
""")


def test_while_held_the_rules_are_those_of_capture_and_two_chains_before_them() -> None:
    held = rules.attached_rules(Stage.HELD, resolver_inside=False, ipv6=True)
    assert chain(held, "ip", "held_output") == snapshot("""\
  chain held_output {
    type filter hook output priority -290; policy accept;
    oifname "lo" accept
    meta skgid 1337 accept
    tcp dport 53 accept
    tcp flags & (syn | ack) == syn drop
  }
""")
    assert chain(held, "ip", "held_input") == snapshot("""\
  chain held_input {
    type filter hook prerouting priority -290; policy accept;
    iifname != "lo" fib daddr type local tcp dport != { 15006, 15020, 15021, 15090 } tcp flags & (syn | ack) == syn drop
  }
""")
    for name in ("held_output", "held_input"):
        held = held.replace(chain(held, "ip", name), "")
    assert held == rules.attached_rules(Stage.CAPTURED, resolver_inside=False, ipv6=True)


def test_when_withdrawn_the_proxy_keeps_what_it_has() -> None:
    assert rules.attached_rules(Stage.WITHDRAWN, resolver_inside=False, ipv6=True) == snapshot("""\
add table ip mizzen-attached
delete table ip mizzen-attached
add table ip6 mizzen-attached
delete table ip6 mizzen-attached
table ip mizzen-attached {
  chain output {
    type nat hook output priority -110; policy accept;
    oifname "lo" ip saddr 127.0.0.6 return
    oifname "lo" meta skgid 1337 ip daddr != 127.0.0.0/8 tcp flags & (syn | ack) == syn redirect to :15006
    meta skgid 1337 return
    ip daddr 240.240.0.0/16 tcp flags & (syn | ack) == syn redirect to :15001
  }
  chain virtual {
    type filter hook output priority 0; policy accept;
    ip daddr 240.240.0.0/16 reject
  }
}
""")


def test_the_rules_of_an_attached_namespace_are_removed() -> None:
    assert rules.without_attached_rules(ipv6=False) == snapshot("""\
add table ip mizzen-attached
delete table ip mizzen-attached
""")


def chain(text: str, family: str, name: str) -> str:
    table = text[text.index(f"\ntable {family} ") + 1 :]
    start = table.index(f"  chain {name} {{")
    return table[start : table.index("  }\n", start) + len("  }\n")]


def test_host_rules() -> None:
    text = rules.host_rules("mizzen-0123456789", "mz-0123456789", IPv4Network("10.200.16.0/20"))
    assert text == snapshot("""\
table ip mizzen-0123456789 {
  set members {
    type ipv4_addr
    flags interval
    auto-merge
  }
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr 10.200.16.0/20 ip daddr != @members oifname != "mz-0123456789" masquerade
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname "mz-0123456789" oifname "mz-0123456789" accept
    oifname "mz-0123456789" ct state established,related accept
    ip saddr @members oifname "mz-0123456789" accept
    oifname "mz-0123456789" drop
  }
}
""")


def test_who_may_call_in() -> None:
    commands = rules.admit("mizzen-0123456789", ["10.89.0.0/24", "10.90.0.0/24"])
    assert commands == "add element ip mizzen-0123456789 members { 10.89.0.0/24, 10.90.0.0/24 }\n"


def test_forwarding_rules_name_the_links_in_order() -> None:
    assert rules.forwarding_rules(["wlan0", "eth0"]) == snapshot("""\
add table ip mizzen-forwarding
delete table ip mizzen-forwarding
table ip mizzen-forwarding {
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname { "eth0", "wlan0" } oifname { "eth0", "wlan0" } drop
  }
}
""")


def test_forwarding_rules_without_links_drop_nothing() -> None:
    assert "drop" not in rules.forwarding_rules([])


def test_firewall_exception() -> None:
    assert rules.firewall_exception("inet", "filter", "forward", "mz-a", "mizzen-a") == snapshot("""\
insert rule inet filter forward iifname "mz-a" counter accept comment "mizzen-a"
insert rule inet filter forward oifname "mz-a" counter accept comment "mizzen-a"
""")


def test_the_proxys_own_ports_are_reserved() -> None:
    assert {OUTBOUND_CAPTURE_PORT, rules.DNS_PORT, PROXY_DNS_PORT, *rules.PROXY_PORTS} == RESERVED_PORTS
