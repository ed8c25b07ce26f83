from ipaddress import IPv4Address, IPv4Network

from inline_snapshot import snapshot

from mizzen.compile.names import OUTBOUND_CAPTURE_PORT, RESERVED_PORTS
from mizzen.node.capture import rules


def test_namespace_rules() -> None:
    assert rules.namespace_rules(IPv4Address("10.200.16.1")) == snapshot("""\
table ip mizzen {
  chain output {
    type nat hook output priority -100; policy accept;
    ip daddr 10.200.16.1 udp dport 53 redirect to :15053
    ip daddr 10.200.16.1 tcp dport 53 redirect to :15053
    oifname "lo" ip saddr 127.0.0.6 return
    oifname "lo" meta skgid 1337 ip daddr != 127.0.0.0/8 meta l4proto tcp redirect to :15006
    meta skgid 1337 return
    udp dport 53 redirect to :15053
    tcp dport 53 redirect to :15053
    oifname "lo" return
    meta l4proto tcp redirect to :15001
  }
  chain virtual {
    type filter hook output priority 0; policy accept;
    ip daddr 240.240.0.0/16 reject
  }
  chain prerouting {
    type nat hook prerouting priority -100; policy accept;
    iifname "eth0" tcp dport != { 15006, 15020, 15021, 15090 } redirect to :15006
  }
}
""")


def test_host_rules() -> None:
    text = rules.host_rules("mizzen-0123456789", "mz-0123456789", IPv4Network("10.200.16.0/20"))
    assert text == snapshot("""\
table ip mizzen-0123456789 {
  chain postrouting {
    type nat hook postrouting priority 100; policy accept;
    ip saddr 10.200.16.0/20 oifname != "mz-0123456789" masquerade
  }
  chain forward {
    type filter hook forward priority 0; policy accept;
    iifname "mz-0123456789" oifname "mz-0123456789" accept
    oifname "mz-0123456789" ct state established,related accept
    oifname "mz-0123456789" drop
  }
}
""")


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
    assert {OUTBOUND_CAPTURE_PORT, rules.DNS_PORT, *rules.PROXY_PORTS} == RESERVED_PORTS
