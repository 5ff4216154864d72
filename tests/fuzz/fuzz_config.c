/* Any text as the configuration: what is taken lies within its limits, what is not is explained. */
#include <string.h>

#include "daemon/config/config.h"
#include "tests/fuzz/fuzz.h"

static void check_taken(const struct config *c)
{
	fuzz_check(c->state_directory[0] == '/' && c->control_socket[0] == '/');
	fuzz_check(c->signal_helper[0] == '/');
	fuzz_check(strnlen(c->control_socket, CONFIG_SOCKET_BYTES) < CONFIG_SOCKET_BYTES);
	fuzz_check(c->control_group[0] && c->interface_name[0]);
	fuzz_check(c->mtu_bytes >= 576 && c->mtu_bytes <= 65535);
	fuzz_check(c->ta_ms >= 5 && c->ta_ms <= 500);
	fuzz_check(c->allow.count <= CONFIG_MAX_PATTERNS && c->deny.count <= CONFIG_MAX_PATTERNS);
	for (size_t i = 0; i < c->allow.count; i++)
		fuzz_check(c->allow.text[i][0] &&
			   strnlen(c->allow.text[i], CONFIG_PATTERN_BYTES) < CONFIG_PATTERN_BYTES);
	fuzz_check(c->stun_server_count <= CONFIG_MAX_SERVERS);
	for (size_t i = 0; i < c->stun_server_count; i++)
		fuzz_check(c->stun_servers[i][0] &&
			   strlen(c->stun_servers[i]) < CONFIG_ENDPOINT_BYTES);
	fuzz_check(!c->rendezvous_endpoint[0] || strncmp(c->rendezvous_endpoint, "tcp://", 6) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char error[CONFIG_ERROR_BYTES] = "";
	struct config config, before;

	memset(&config, 0x5a, sizeof(config));
	before = config;
	if (config_parse("fuzz", (const char *)data, size, &config, error) == OK) {
		check_taken(&config);
	} else {
		fuzz_check(memcmp(&config, &before, sizeof(config)) == 0);
		fuzz_check(strncmp(error, "fuzz:", 5) == 0 && strlen(error) > 8);
	}
	return 0;
}
