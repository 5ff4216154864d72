/*
 * Identifiers: the names of hosts and networks.
 *
 * An identifier is 1 to 63 characters of a-z, 0-9, '-', '_' and '.', and begins and ends with a
 * letter or digit. So it needs no quoting anywhere: not in a log, a file name, a subject or a DNS
 * label. It is checked wherever one comes from outside; nothing else is ever taken for an
 * identifier.
 */
#ifndef ICETUN_CERT_IDENTIFIER_H
#define ICETUN_CERT_IDENTIFIER_H

#include <stdbool.h>

/* The longest identifier and its NUL. */
#define IDENTIFIER_BYTES 64

/* @text: NUL-terminated. Return: true when it is an identifier. */
bool identifier_is_valid(const char *text);

/* The order of identifiers, which decides who yields when two hosts offer at once: byte by byte, a
 * prefix comes first. Return: negative, 0 or positive, as strcmp(). */
int identifier_compare(const char *a, const char *b);

#endif
