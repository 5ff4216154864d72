/* WATCH and PRESENCE. */
#include "tests/unit/rendezvous/fixture.h"

static void watch(struct fixture *f, struct voice v, const char *name)
{
	struct signal_message m = {.type = SIGNAL_WATCH};

	snprintf(m.name, sizeof(m.name), "%s", name);
	assert_int_equal(say(f, v, &m), OK);
}

static void test_watch_name(void **state)
{
	struct fixture *f = *state;
	struct voice alice = member(f, 1, 1, "alice");
	struct peer *p = &f->peers[1];
	const struct signal_message bye = {.type = SIGNAL_BYE};
	struct voice bob;

	watch(f, alice, "bob");
	assert_int_equal(p->seen[SIGNAL_PRESENCE], 0);
	bob = member(f, 2, 2, "bob");
	assert_int_equal(p->seen[SIGNAL_PRESENCE], 1);
	assert_string_equal(p->last.name, "bob");
	assert_true(p->last.online);
	member(f, 3, 3, "carol");
	assert_int_equal(p->seen[SIGNAL_PRESENCE], 1);
	assert_int_equal(say(f, bob, &bye), OK);
	assert_int_equal(p->seen[SIGNAL_PRESENCE], 2);
	assert_false(p->last.online);
	watch(f, alice, "carol");
	assert_int_equal(p->seen[SIGNAL_PRESENCE], 3);
	assert_true(p->last.online);
	for (unsigned i = 0; i < SERVICE_MAX_WATCHES - 2; i++) {
		char name[16];

		snprintf(name, sizeof(name), "x%u", i);
		watch(f, alice, name);
	}
	{
		const struct signal_message m = {.type = SIGNAL_WATCH, .name = "toomany"};

		assert_int_equal(say(f, alice, &m), DROP_LIMIT);
	}
	/* The watcher goes first: nothing is left behind. */
	assert_int_equal(say(f, alice, &bye), OK);
	bob.connection = 4;
	assert_int_equal(try_register(f, bob, "bob", 2), OK);
	assert_int_equal(p->seen[SIGNAL_PRESENCE], 3);
}

static void test_watch_everyone(void **state)
{
	struct fixture *f = *state;
	struct voice alice = member(f, 1, 1, "alice");
	struct peer *p = &f->peers[1];
	char name[16];

	for (uint8_t i = 2; i < 60; i++) {
		snprintf(name, sizeof(name), "host-%d", i);
		member(f, i, i, name);
		f->now_us += US_PER_S / 10;
	}
	watch(f, alice, "");
	/* In portions, so that the queue of the connection is not flooded. */
	assert_int_equal(p->seen[SIGNAL_PRESENCE], 16);
	p->room = 5;
	pass_second(f);
	assert_int_equal(p->seen[SIGNAL_PRESENCE], 21);
	p->room = -1;
	pass_second(f);
	assert_int_equal(p->seen[SIGNAL_PRESENCE], 58);
	/* Changes, each once, also for who was missed in between. */
	f->peers[7].is_gone = true;
	forward(f, alice, "host-7", 1);
	pass_second(f);
	assert_int_equal(p->seen[SIGNAL_PRESENCE], 59);
	assert_string_equal(p->last.name, "host-7");
	assert_false(p->last.online);
	/* Too many for that: silence, and the rest when there are fewer. */
	for (uint32_t i = 100; i < 150; i++) {
		snprintf(name, sizeof(name), "more-%u", i);
		member(f, i, (uint8_t)i, name);
		f->now_us += US_PER_S / 100;
	}
	{
		unsigned before = p->seen[SIGNAL_PRESENCE];

		pass_second(f);
		assert_in_range(before, 59, 59 + 50);
		assert_true(service_online_count(f->service) > 100);
		assert_int_equal(p->seen[SIGNAL_PRESENCE], before);
		for (uint32_t i = 140; i < 150; i++) {
			f->peers[i].is_gone = true;
			snprintf(name, sizeof(name), "more-%u", i);
			forward(f, alice, name, 2);
		}
		pass_second(f);
		assert_int_equal(p->seen[SIGNAL_PRESENCE], 59 + 50);
	}
}

static void test_watcher_goes_while_told(void **state)
{
	struct fixture *f = *state;
	struct voice alice = member(f, 1, 1, "alice");
	struct voice bob = member(f, 2, 2, "bob");

	watch(f, alice, "");
	watch(f, bob, "");
	f->peers[1].is_gone = true;
	member(f, 3, 3, "carol");
	pass_second(f);
	assert_int_equal(service_online_count(f->service), 2);
	assert_string_equal(f->peers[2].last.name, "alice");
	assert_false(f->peers[2].last.online);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		SERVICE_TEST(test_watch_name),
		SERVICE_TEST(test_watch_everyone),
		SERVICE_TEST(test_watcher_goes_while_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
