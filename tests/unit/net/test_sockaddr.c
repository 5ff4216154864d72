/* The doors: addresses to the system and back, and what an errno means for us. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>

#include "daemon/net/sockaddr.h"

static void test_round_trip(void **state)
{
	static const char *const texts[] = {"192.0.2.1:1", "0.0.0.0:0", "255.255.255.255:65535",
					    "[2001:db8::1]:3478", "[::]:9"};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct netaddr a, back;
		union net_sockaddr sa;
		socklen_t len;

		assert_int_equal(netaddr_parse(texts[i], &a), OK);
		len = net_sockaddr_from(&a, &sa);
		assert_int_equal(len, a.family == NETADDR_IP4 ? sizeof(struct sockaddr_in)
							      : sizeof(struct sockaddr_in6));
		assert_true(net_sockaddr_to(&sa, len, &back));
		assert_memory_equal(&a, &back, sizeof(a));
	}
}

static void test_bytes_are_in_network_order(void **state)
{
	struct netaddr a;
	union net_sockaddr sa;

	(void)state;
	assert_int_equal(netaddr_parse("192.0.2.1:258", &a), OK);
	net_sockaddr_from(&a, &sa);
	assert_int_equal(sa.ip4.sin_family, AF_INET);
	assert_memory_equal(&sa.ip4.sin_port, "\1\2", 2);
	assert_memory_equal(&sa.ip4.sin_addr, "\300\0\2\1", 4);
}

static void test_scope_only_where_it_means_something(void **state)
{
	union net_sockaddr sa = {.ip6 = {.sin6_family = AF_INET6, .sin6_scope_id = 5}};
	struct netaddr a;

	(void)state;
	sa.ip6.sin6_addr.s6_addr[0] = 0xfe;
	sa.ip6.sin6_addr.s6_addr[1] = 0x80;
	assert_true(net_sockaddr_to(&sa, sizeof(sa.ip6), &a));
	assert_int_equal(a.scope_id, 5);
	net_sockaddr_from(&a, &sa);
	assert_int_equal(sa.ip6.sin6_scope_id, 5);
	sa.ip6.sin6_addr.s6_addr[0] = 0x20;
	assert_true(net_sockaddr_to(&sa, sizeof(sa.ip6), &a));
	assert_int_equal(a.scope_id, 0);
}

static void test_mapped_becomes_ip4(void **state)
{
	union net_sockaddr sa = {.ip6 = {.sin6_family = AF_INET6, .sin6_scope_id = 5}};
	struct netaddr a;

	(void)state;
	memcpy(&sa.ip6.sin6_addr, "\0\0\0\0\0\0\0\0\0\0\377\377\251\376\2\1", 16);
	assert_true(net_sockaddr_to(&sa, sizeof(sa.ip6), &a));
	assert_int_equal(a.family, NETADDR_IP4);
	assert_memory_equal(a.ip, "\251\376\2\1\0", 5);
	assert_int_equal(a.scope_id, 0);
}

static void test_what_does_not_fit(void **state)
{
	union net_sockaddr sa = {.ip4 = {.sin_family = AF_INET}};
	struct netaddr a = {.family = NETADDR_IP4};
	struct netaddr none = {.port = 7};

	(void)state;
	assert_false(net_sockaddr_to(&sa, sizeof(sa.ip4) - 1, &a));
	assert_int_equal(a.family, NETADDR_NONE);
	assert_false(net_sockaddr_to(&sa, 0, &a));
	sa.ip6.sin6_family = AF_INET6;
	assert_false(net_sockaddr_to(&sa, sizeof(sa.ip4), &a));
	sa.any.sa_family = AF_UNIX;
	assert_false(net_sockaddr_to(&sa, sizeof(sa), &a));
	assert_int_equal(net_sockaddr_from(&none, &sa), 0);
}

static void test_errno(void **state)
{
	static const struct {
		int errno_value;
		enum err error;
	} table[] = {
		{EAGAIN, DROP_QUEUE_FULL},
		{ENOBUFS, DROP_QUEUE_FULL},
		{ENOMEM, DROP_QUEUE_FULL},
		{EMSGSIZE, DROP_TOO_LONG},
		{ENETUNREACH, ERR_NETWORK},
		{EHOSTUNREACH, ERR_NETWORK},
		{ENETDOWN, ERR_NETWORK},
		{EHOSTDOWN, ERR_NETWORK},
		{ECONNREFUSED, ERR_NETWORK},
		{ETIMEDOUT, ERR_NETWORK},
		{EINVAL, ERR_NO_ADDRESS},
		{EADDRNOTAVAIL, ERR_NO_ADDRESS},
		{EADDRINUSE, ERR_EXISTS},
		{EPERM, ERR_PERMISSION},
		{EACCES, ERR_PERMISSION},
		{EMFILE, ERR_LIMIT},
		{ENFILE, ERR_LIMIT},
		{EBADF, ERR_IO},
		{0, ERR_IO},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(table); i++)
		assert_int_equal(net_error(table[i].errno_value), table[i].error);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_bytes_are_in_network_order),
		cmocka_unit_test(test_scope_only_where_it_means_something),
		cmocka_unit_test(test_mapped_becomes_ip4),
		cmocka_unit_test(test_what_does_not_fit),
		cmocka_unit_test(test_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
