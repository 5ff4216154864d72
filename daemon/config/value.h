/* Values of the configuration, from text. Private to the room. Each returns false, and leaves *ret
 * alone, when @text is not allowed. */
#ifndef ICETUN_CONFIG_VALUE_H
#define ICETUN_CONFIG_VALUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A whole decimal number in [@min, @max]. */
bool value_number(const char *text, uint32_t min, uint32_t max, uint32_t *ret);
/* An absolute path shorter than @cap. */
bool value_path(const char *text, char *ret, size_t cap);
/* A user or group: a name as useradd(8) takes it, or a number. */
bool value_account(const char *text, char *ret, size_t cap);
/* A network device: letters, digits, '.', '_', '-'; not "." or "..". */
bool value_interface(const char *text, char *ret, size_t cap);
/* A shell's pattern of such names: *, ?, and sets, which are whole and hold something: [abc],
 * [0-9], [!x]. No range in them runs backwards. */
bool value_pattern(const char *text, char *ret, size_t cap);
/* "host", "host:port", "[ipv6]:port", each also after "stun:", which is left out. */
bool value_stun_server(const char *text, char *ret, size_t cap);
/* "tcp://host:port", the port is needed. */
bool value_tcp_endpoint(const char *text, char *ret, size_t cap);

/* The next item of a list separated by spaces and commas, copied to @item; *at moves behind it.
 * Return: 1, 0 at the end, -1 when the item does not fit. */
int value_next_item(const char **at, char *item, size_t cap);

#endif
