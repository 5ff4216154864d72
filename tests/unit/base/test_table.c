#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

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

/* Ten times as many as expected; every third goes. */
static void many(void **state)
{
	static struct object objects[1000];
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
	}
	for (uint32_t i = 0; i < 1000; i++) {
		assert_ptr_equal(look_up(&t, i * 7), i % 3 ? &objects[i] : NULL);
	}
	/* What is not in the table changes nothing. */
	table_remove(&t, 7, &stranger.node);
	assert_ptr_equal(look_up(&t, 7), &objects[1]);
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
