#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/core/base/compiler.h"
#include "daemon/core/base/table.h"

struct object {
	uint32_t name;
	struct table_node node;
};

static struct object *look_up(const struct table *t, uint32_t name)
{
	for (struct table_node *n = table_first(t, name); n; n = n->next) {
		struct object *o = container_of(n, struct object, node);

		if (o->name == name)
			return o;
	}
	return NULL;
}

static void empty(void **state)
{
	struct table t, zeros = {0};

	(void)state;
	assert_int_equal(table_init(&t, 0), OK);
	for (uint32_t name = 0; name < 1000; name++)
		assert_null(look_up(&t, name));
	table_fini(&t);
	table_fini(&zeros);
}

/* Ten times as many as expected; every third goes, every third of the rest moves. */
static void many(void **state)
{
	static struct object objects[1000], moved[1000];
	struct object stranger = {0};
	struct table t;

	(void)state;
	assert_int_equal(table_init(&t, 100), OK);
	for (uint32_t i = 0; i < 1000; i++) {
		objects[i].name = i * 7;
		table_add(&t, objects[i].name, &objects[i].node);
	}
	for (uint32_t i = 0; i < 1000; i++) {
		if (i % 3 == 0)
			table_remove(&t, objects[i].name, &objects[i].node);
		if (i % 3 != 1)
			continue;
		moved[i] = objects[i];
		table_relocate(&t, objects[i].name, &moved[i].node, &objects[i].node);
		memset(&objects[i], 0xff, sizeof(objects[i]));
	}
	for (uint32_t i = 0; i < 1000; i++) {
		struct object *expected = i % 3 == 0 ? NULL : i % 3 == 1 ? &moved[i] : &objects[i];

		assert_ptr_equal(look_up(&t, i * 7), expected);
	}
	/* What is not in the table changes nothing. */
	table_remove(&t, 7, &stranger.node);
	table_relocate(&t, 7, &stranger.node, &objects[0].node);
	assert_ptr_equal(look_up(&t, 7), &moved[1]);
	table_fini(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty),
		cmocka_unit_test(many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
