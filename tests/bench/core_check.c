/* A connectivity check that a peer sends: looked up, verified and answered (core/ice). */
#include <stdio.h>

#include "tests/bench/core.h"
#include "tests/unit/ice/wire.h"

#define CHECKS 2000

void bench_check(void)
{
	static struct wire w;
	struct wire_forge f = {
		.peer_user = "theirs", .priority = 5, .controlled = true, .tie_breaker = 1};
	struct netaddr peer = wire_addr("192.0.2.2:2000");
	uint8_t buf[ICE_TRANSMIT_MAX_BYTES], out[ICE_TRANSMIT_MAX_BYTES];
	struct ice_description us;
	struct ice_transmit t;
	double best = 1e12;
	size_t len;

	wire_init(&w, 1);
	wire_add_socket(&w, 0, 0, "192.0.2.1:1000");
	wire_open(&w, 0, true);
	ice_agent_get_description(w.host[0].agent, &us);
	f.user = us.ufrag;
	f.pwd = us.pwd;
	len = wire_forge(&f, buf);
	for (int round = 0; round < BENCH_ROUNDS; round++) {
		double start = bench_now_ns(), ns;

		for (int i = 0; i < CHECKS; i++) {
			bench_need(
				ice_engine_input(w.host[0].engine, w.now_us, 0, &peer, buf, len));
			if (!ice_engine_pop_transmit(w.host[0].engine, &t, out, sizeof(out)))
				bench_need(ERR_EMPTY);
		}
		ns = (bench_now_ns() - start) / CHECKS;
		best = ns < best ? ns : best;
	}
	printf("\n%-18s %5zu %10.0f ns, verified and answered\n", "check", len, best);
	wire_fini(&w);
}
