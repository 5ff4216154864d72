/*
 * Two whole hosts that roam at random: addresses come and go, one after the other or both at once,
 * the rendezvous stops, paths die silently, restarts are asked for and cross, the network loses,
 * doubles and reorders, messages of the rendezvous come late, in another order, and again. Some
 * have TURN servers, which are restarted, and need them, because now and then nothing goes
 * directly. roam_rules.h has what must hold at every moment; and when all is quiet again the hosts
 * are connected, nothing is lost, and when both move they find each other within 300 ms.
 *
 *	sim_overlay_roam --seeds N [--from SEED] [--all]	ends with the first bad one, or not
 *	sim_overlay_roam --seed SEED [--trace]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/core/crypto/secret.h"
#include "daemon/core/signal/message.h"
#include "tests/sim/roam_rules.h"

#define STEP_US	       (5 * US_PER_MS)
#define CHANGES	       12
#define SETTLE_US      (20 * US_PER_S)
#define MOVED_US       (300 * US_PER_MS)
#define KEPT	       48
#define IDLE_US	       (100 * US_PER_S)
#define MAX_LIVING     3 /* sockets of a host */
#define RELAYS_CHANGES 3 /* kinds of changes that need relays */

/* A message that was delivered, to be delivered again. */
struct kept {
	size_t to, len;
	uint8_t buf[SIGNAL_MESSAGE_MAX_BYTES];
};

static struct mesh mesh;
static struct kept kept[KEPT];
static size_t kept_count;
static uint64_t state, replays, replay_changed;
static uint32_t loss_permille;
static bool trace, with_relays;
static uint64_t unanswered_us[2], seen_us[2];
static size_t seen[2];

static uint64_t dice(uint64_t limit)
{
	uint64_t z = state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return (z ^ z >> 31) % limit;
}

static void say(const char *what, size_t host)
{
	if (trace)
		printf("%10" PRIu64 " us  %s: %s\n", mesh.now_us, mesh.hosts[host].name, what);
}

static void say_event(struct mesh_host *h, const struct overlay_event *e)
{
	size_t i = (size_t)(h - mesh.hosts);
	char text[160];

	switch ((int)e->type) {
	case OVERLAY_EVENT_PEER_STATE:
		snprintf(text, sizeof(text), "is %s", overlay_peer_state_name(e->state));
		break;
	case OVERLAY_EVENT_SESSION_ADD:
		snprintf(text, sizeof(text), "has keys %08" PRIx32, e->session);
		break;
	case OVERLAY_EVENT_SESSION_REMOVE:
		snprintf(text, sizeof(text), "forgets keys %08" PRIx32, e->session);
		break;
	case OVERLAY_EVENT_PATH:
		snprintf(text, sizeof(text),
			 "sends with %08" PRIx32 " in generation %u, from %u to port %u",
			 e->session, e->path.generation, e->path.socket, e->path.remote.port);
		break;
	case OVERLAY_EVENT_PATH_CLEAR:
		snprintf(text, sizeof(text), "has no path");
		break;
	case OVERLAY_EVENT_RESTART:
		snprintf(text, sizeof(text), "a restart %s: %s",
			 e->restart_step == OVERLAY_RESTART_BEGUN      ? "begins"
			 : e->restart_step == OVERLAY_RESTART_SWITCHED ? "has come about"
								       : "has failed",
			 overlay_restart_cause_text(e->restart_cause));
		break;
	default:
		return;
	}
	say(text, i);
}

static bool lose(struct mesh *m, const struct mesh_host *from, const uint8_t *buf, size_t len)
{
	(void)m;
	(void)from;
	(void)buf;
	(void)len;
	return dice(1000) >= loss_permille;
}

/* --- traffic --- */

/* As the shell does each second: what goes out and is not answered is told. */
static void look_at_counters(size_t i)
{
	if (mesh.hosts[i].packets != seen[i]) {
		seen[i] = mesh.hosts[i].packets;
		seen_us[i] = mesh.now_us;
	} else if (mesh.now_us > seen_us[i] + US_PER_S &&
		   mesh.now_us > unanswered_us[i] + US_PER_S) {
		unanswered_us[i] = mesh.now_us;
		overlay_on_unanswered(mesh.hosts[i].overlay, mesh.now_us, 0);
	}
}

static bool is_broken(void)
{
	uint64_t at_us;

	return roam_rules_fault(&at_us) != NULL;
}

static void run_for(uint64_t us, bool with_traffic)
{
	uint64_t until_us = mesh.now_us + us;

	while (mesh.now_us < until_us && !is_broken()) {
		for (size_t i = 0; i < 2 && with_traffic; i++) {
			mesh_send_packet(&mesh.hosts[i], &mesh.hosts[1 - i], 60);
			roam_rules_on_use();
			look_at_counters(i);
		}
		(void)mesh_run(&mesh, STEP_US, NULL);
		roam_rules_look();
	}
}

/* --- what happens --- */

static size_t living(const struct mesh_host *h)
{
	size_t n = !h->first_is_gone;

	for (size_t i = 0; i < MESH_MAX_MOVES; i++)
		n += h->further[i].family != NETADDR_NONE;
	return n;
}

static void add_address(size_t i)
{
	uint8_t ip[4] = {203, 0, 113, (uint8_t)(100 + dice(100))};
	struct netaddr a = netaddr_from_ip4(ip, 0);

	if (living(&mesh.hosts[i]) >= MAX_LIVING)
		return;
	say("an address comes", i);
	(void)mesh_add_address(&mesh.hosts[i], &a, (uint16_t)(1 + dice(65534)));
}

static void remove_socket(size_t i, uint16_t number)
{
	const struct mesh_host *h = &mesh.hosts[i];

	if (number == 1 ? h->first_is_gone
			: number < MESH_FIRST_MOVE ||
				  h->further[number - MESH_FIRST_MOVE].family == NETADDR_NONE)
		return;
	say("an address goes", i);
	roam_rules_remove_socket(i, number);
	(void)mesh_run(&mesh, 0, NULL); /* the data plane hears of it before the next packet */
	roam_rules_look();
}

static void lose_path_address(size_t i)
{
	remove_socket(i, mesh.hosts[i].path.socket);
}

static void ask(size_t i)
{
	say("a restart is asked for", i);
	(void)!overlay_restart(mesh.hosts[i].overlay, mesh.now_us, 0);
}

static void move_hard(size_t i)
{
	lose_path_address(i);
	run_for(dice(4) * dice(1000) * US_PER_MS, true);
	add_address(i);
}

static void move_softly(size_t i)
{
	add_address(i);
	run_for(dice(5000) * US_PER_MS, true);
	if (living(&mesh.hosts[i]) > 1)
		lose_path_address(i);
}

static void move_both(void)
{
	lose_path_address(0);
	lose_path_address(1);
	add_address(0);
	run_for(dice(300) * US_PER_MS, true);
	add_address(1);
}

static void move_during_restart(size_t i)
{
	ask(dice(2));
	run_for(dice(60) * US_PER_MS, true);
	move_hard(i);
}

static void toggle_server(void)
{
	say(mesh.server_down ? "the rendezvous comes back" : "the rendezvous stops", 0);
	mesh_set_server(&mesh, mesh.server_down);
}

/* Nothing reaches that address any more, and nobody is told. */
static void kill_path(size_t i)
{
	if (!mesh.hosts[i].has_path)
		return;
	say("its path dies silently", i);
	mesh.dead = mesh.hosts[i].path.remote;
}

static void refuse_to_send(size_t i)
{
	struct mesh_host *h = &mesh.hosts[i];

	if (!h->has_path)
		return;
	say("the system refuses to send", i);
	overlay_on_send_error(h->overlay, mesh.now_us, h->path.socket, &h->path.remote);
}

static void toggle_direct(void)
{
	say(mesh.direct_blocked ? "all goes directly again" : "nothing goes directly", 0);
	mesh.direct_blocked = !mesh.direct_blocked;
}

static void restart_turn_server(size_t i)
{
	if (trace)
		printf("%10" PRIu64 " us  TURN server %zu is restarted\n", mesh.now_us, i + 1);
	turn_server_restart(&mesh.turn[i], mesh.now_us);
}

static void give_relays(size_t i, size_t first, size_t count)
{
	struct overlay_relay_server servers[MESH_MAX_TURN];

	for (size_t k = 0; k < count; k++)
		servers[k] = (struct overlay_relay_server){
			.id = (uint32_t)(first + k + 1),
			.name = "relay.example.net",
			.targets = {mesh_turn_target(first + k, TURN_TRANSPORT_UDP)},
			.target_count = 1,
			.username = "user",
			.password = "secret",
			.expires_us = DEADLINE_NONE,
		};
	if (overlay_set_relay_servers(mesh.hosts[i].overlay, mesh.now_us, servers, count) != OK)
		abort();
}

/* Both hosts, or one of them, have one server or two. */
static void choose_relays(void)
{
	uint64_t who = 1 + dice(3);

	with_relays = dice(3) == 0;
	for (size_t i = 0; i < 2 && with_relays; i++) {
		mesh.hosts[i].no_spare = true;
		if (who & (1u << i))
			give_relays(i, dice(2), 1);
	}
}

static void happen(void)
{
	size_t i = dice(2);

	switch (dice(with_relays ? 13 + RELAYS_CHANGES : 13)) {
	case 0:
	case 1:
		move_softly(i);
		break;
	case 2:
	case 3:
		move_hard(i);
		break;
	case 4:
		move_both();
		break;
	case 5:
		move_during_restart(i);
		break;
	case 6:
		ask(i);
		break;
	case 7:
		ask(0);
		run_for(dice(2) * dice(30) * US_PER_MS, true);
		ask(1);
		break;
	case 8:
		toggle_server();
		break;
	case 9:
		kill_path(i);
		break;
	case 10:
		refuse_to_send(i);
		break;
	case 11:
		say("it has slept", i);
		overlay_on_resume(mesh.hosts[i].overlay, mesh.now_us);
		break;
	case 13:
	case 14:
		toggle_direct();
		break;
	case 15:
		restart_turn_server(i);
		break;
	default:
		say("no traffic", i);
		run_for(dice(2) ? IDLE_US : dice(10) * US_PER_S, false);
		break;
	}
}

/* --- messages that come again --- */

static void keep(struct mesh_host *h, const uint8_t *buf, size_t len, enum err result)
{
	struct kept *k = &kept[kept_count++ % KEPT];
	struct signal_message m;

	if (signal_message_decode(buf, len, &m) != OK || m.type != SIGNAL_DELIVER ||
	    result == DROP_LIMIT) { /* as good as lost */
		kept_count--;
		return;
	}
	k->to = (size_t)(h - mesh.hosts);
	k->len = len;
	memcpy(k->buf, buf, len);
}

static bool is_same(const struct overlay_peer_info *a, const struct overlay_peer_info *b)
{
	return a->session == b->session && a->state == b->state && a->has_path == b->has_path &&
	       a->restarts == b->restarts && a->switches == b->switches &&
	       a->restart_failures == b->restart_failures && a->path.socket == b->path.socket &&
	       a->path.generation == b->path.generation &&
	       netaddr_equal(&a->path.remote, &b->path.remote);
}

static void replay(void)
{
	size_t count = kept_count < KEPT ? kept_count : KEPT;

	for (size_t n = 0; n < 8 && count > 0; n++) {
		const struct kept *k = &kept[dice(count)];
		struct mesh_host *h = &mesh.hosts[k->to];
		struct overlay_peer_info before, after;

		if (!h->link_up || overlay_peer(h->overlay, 0, &before) != OK)
			continue;
		(void)overlay_on_signal(h->overlay, mesh.now_us, k->buf, k->len);
		if (overlay_peer(h->overlay, 0, &after) != OK || !is_same(&before, &after)) {
			say("a message that came again has changed something", k->to);
			replay_changed++;
		}
		replays++;
		run_for(dice(3) * STEP_US, true);
	}
}

/* --- one run --- */

static void (*rules_on_event)(struct mesh_host *h, const struct overlay_event *e);

static void on_event(struct mesh_host *h, const struct overlay_event *e)
{
	if (trace)
		say_event(h, e);
	rules_on_event(h, e);
}

static bool both_have_path(struct mesh *m)
{
	return m->hosts[0].has_path && m->hosts[1].has_path;
}

static bool both_registered(struct mesh *m)
{
	return overlay_is_registered(m->hosts[0].overlay) &&
	       overlay_is_registered(m->hosts[1].overlay);
}

/* Both at once, and nothing is lost or late: glare is decided without a repetition, whose first
 * comes after 500 ms. */
static const char *move_in_quiet(void)
{
	uint64_t until_us;

	mesh.jitter_us = mesh.frame_jitter_us = 0;
	mesh.direct_blocked = false;
	run_for(US_PER_S, true);
	move_both();
	until_us = mesh.now_us + MOVED_US;
	while (!both_have_path(&mesh) && mesh.now_us < until_us && !is_broken())
		run_for(STEP_US, true);
	return both_have_path(&mesh) || is_broken() ? NULL : "both have moved, and it takes long";
}

static const char *settle(void)
{
	uint64_t from[2];

	say("all is quiet from now on", 0);
	mesh.dead = (struct netaddr){0};
	loss_permille = 0;
	if (mesh.server_down)
		toggle_server();
	for (size_t i = 0; i < 2; i++) {
		if (living(&mesh.hosts[i]) == 0)
			add_address(i);
	}
	run_for(SETTLE_US, true);
	if (is_broken())
		return NULL;
	if (!both_have_path(&mesh))
		return "the hosts do not find each other again";
	for (size_t i = 0; i < 2; i++)
		from[i] = mesh.hosts[i].sequence;
	run_for(2 * US_PER_S, true);
	(void)mesh_run(&mesh, US_PER_S, NULL);
	for (size_t i = 0; i < 2; i++) {
		for (uint64_t s = from[i]; s < mesh.hosts[i].sequence; s++) {
			if (!roam_rules_has_arrived(1 - i, s))
				return "a packet is lost though all is quiet";
		}
	}
	return move_in_quiet();
}

static const char *run(uint64_t *ret_us)
{
	static const uint32_t losses[] = {0, 0, 20, 100};
	static const uint64_t jitters_ms[] = {0, 2, 15};
	uint32_t peer;

	if (!mesh_run(&mesh, US_PER_S, both_registered) ||
	    overlay_connect(mesh.hosts[0].overlay, mesh.now_us, "bob", &peer) != OK ||
	    !mesh_run(&mesh, 2 * US_PER_S, both_have_path))
		return "the hosts do not find each other";
	choose_relays();
	run_for(US_PER_S, true);
	mesh.filter_datagram = lose;
	loss_permille = losses[dice(ARRAY_SIZE(losses))];
	mesh.jitter_us = jitters_ms[dice(ARRAY_SIZE(jitters_ms))] * US_PER_MS;
	mesh.frame_jitter_us = dice(2) * dice(2000) * US_PER_MS;
	mesh.twice_permille = (uint32_t)(dice(2) * 20);
	for (int i = 0; i < CHANGES && !is_broken(); i++) {
		happen();
		if (dice(3) == 0)
			replay();
		run_for(dice(dice(4) ? 1000 : 8000) * US_PER_MS, true);
		if (dice(2))
			mesh.dead = (struct netaddr){0};
	}
	*ret_us = mesh.now_us;
	return is_broken() ? NULL : settle();
}

static bool run_seed(uint64_t seed, struct roam_rules_counts *sum)
{
	static struct mesh_watch watch;
	struct roam_rules_counts c;
	const char *why, *rule;
	uint64_t at_us = 0, rule_us;

	state = seed;
	kept_count = 0;
	replay_changed = 0;
	mesh_create(&mesh, 2, seed);
	roam_rules_begin(&mesh);
	watch = *mesh.watch;
	watch.frame = keep;
	rules_on_event = watch.event;
	watch.event = on_event;
	mesh.watch = &watch;
	for (size_t i = 0; i < 2; i++) {
		unanswered_us[i] = seen_us[i] = mesh.now_us;
		seen[i] = 0;
	}
	why = run(&at_us);
	rule = roam_rules_fault(&rule_us);
	if (rule) {
		why = rule;
		at_us = rule_us;
	} else if (replay_changed > 0) {
		why = "a message that came again has changed something";
	}
	c = roam_rules_counts();
	sum->sealed += c.sealed;
	sum->relayed += c.relayed;
	sum->switches += c.switches;
	sum->clears += c.clears;
	sum->opened += c.opened;
	sum->packets += c.packets;
	sum->keys += c.keys;
	sum->stood_by += c.stood_by;
	mesh_destroy(&mesh);
	if (why)
		printf("seed %" PRIu64 ", %" PRIu64 " us: %s\n", seed, at_us, why);
	return !why;
}

static int run_seeds(uint64_t from, uint64_t count, bool all)
{
	struct roam_rules_counts sum = {0};
	uint64_t wrong = 0;

	for (uint64_t seed = from; seed < from + count; seed++) {
		wrong += !run_seed(seed, &sum);
		if (wrong && !all)
			return 1;
	}
	printf("%" PRIu64 " seeds: %" PRIu64 " sealed, %" PRIu64 " relayed, %" PRIu64
	       " opened, %" PRIu64 " packets, %" PRIu64 " keys, %" PRIu64 " switches, %" PRIu64
	       " paths lost, %" PRIu64 " stood by, %" PRIu64 " messages again; %" PRIu64 " wrong\n",
	       count, sum.sealed, sum.relayed, sum.opened, sum.packets, sum.keys, sum.switches,
	       sum.clears, sum.stood_by, replays, wrong);
	if (wrong)
		return 1;
	/* A rule that nothing came to has shown nothing. */
	return count < 20 || (sum.switches > 0 && sum.clears > 0 && sum.relayed > 0 &&
			      sum.stood_by > 0 && replays > 0)
		       ? 0
		       : 1;
}

static int usage(void)
{
	fprintf(stderr, "usage: sim_overlay_roam --seeds N [--from SEED] [--all] | "
			"--seed SEED [--trace]\n");
	return 2;
}

int main(int argc, char **argv)
{
	uint64_t from = 1, count = 0;
	bool all = false;

	if (crypto_start() != OK)
		return 1;
	for (int i = 1; i < argc; i++) {
		const char *value = i + 1 < argc ? argv[i + 1] : "";
		char *end = NULL;
		uint64_t number = strtoull(value, &end, 10);

		if (strcmp(argv[i], "--trace") == 0) {
			trace = true;
			continue;
		}
		if (strcmp(argv[i], "--all") == 0) {
			all = true;
			continue;
		}
		if (!*value || *end)
			return usage();
		if (strcmp(argv[i], "--seeds") == 0) {
			count = number;
		} else if (strcmp(argv[i], "--from") == 0) {
			from = number;
		} else if (strcmp(argv[i], "--seed") == 0) {
			from = number;
			count = 1;
		} else {
			return usage();
		}
		i++;
	}
	return count > 0 ? run_seeds(from, count, all) : usage();
}
