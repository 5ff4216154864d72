/* A DNS message with SRV records: what is taken of it are URIs that mean the same when they are
 * read again, no more than a name may have, none twice. The first byte chooses the scheme. */
#include <string.h>

#include "daemon/core/crypto/random.h"
#include "daemon/net/srv.h"
#include "tests/fuzz/fuzz.h"

static const char *const uris[] = {"stun:a.example", "turn:a.example", "turns:a.example"};

static void check_server(const struct turn_uri *list, size_t i)
{
	char text[TURN_URI_TEXT_BYTES], other[TURN_URI_TEXT_BYTES];
	struct turn_uri again;

	turn_uri_format(&list[i], text);
	fuzz_check(turn_uri_parse(text, &again) == OK);
	fuzz_check(strcmp(turn_uri_format(&again, other), text) == 0);
	fuzz_check(list[i].has_port && list[i].address.family == NETADDR_NONE);
	for (size_t k = 0; k < i; k++)
		fuzz_check(strcmp(turn_uri_format(&list[k], other), text) != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct turn_srv_service services[TURN_SRV_SERVICES_MAX];
	struct turn_uri uri, list[TURN_SRV_SERVERS_MAX];
	struct random_seeded seed;
	struct random_source random;
	size_t count, n;

	if (size == 0)
		return 0;
	random_seeded_init(&seed, size);
	random = random_seeded_source(&seed);
	fuzz_check(turn_uri_parse(uris[data[0] % ARRAY_SIZE(uris)], &uri) == OK);
	count = turn_srv_services(&uri, services);
	for (size_t i = 0; i < count; i++) {
		if (net_srv_parse(data + 1, size - 1, &services[i]) != OK)
			fuzz_check(services[i].record_count == 0);
		fuzz_check(services[i].record_count <= TURN_SRV_RECORDS_MAX);
	}
	n = turn_srv_expand(&uri, services, count, &random, list);
	fuzz_check(n <= TURN_SRV_SERVERS_MAX);
	for (size_t i = 0; i < n; i++)
		check_server(list, i);
	return 0;
}
