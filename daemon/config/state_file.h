/*
 * Private to the room: how files of the state directory are read and written (see state.h).
 *
 * Who else could read or write the directory or a file, or owns them, is an error and is not
 * repaired. A file is written whole to a temporary one, synced and renamed, then the directory is
 * synced: after a power cut there is the old file or the new one.
 *
 * Every function that can fail writes a sentence for people to @error, which names the file.
 */
#ifndef ICETUN_CONFIG_STATE_FILE_H
#define ICETUN_CONFIG_STATE_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/config/state.h"

/* Writes "DIRECTORY/FILE: WHY"; @file may be NULL. Return: @e. */
enum err state_file_fail(char error[static STATE_ERROR_BYTES], enum err e, const char *directory,
			 const char *file, const char *why);
/* The same for errno. Return: ERR_PERMISSION, ERR_IO. */
enum err state_file_fail_errno(char error[static STATE_ERROR_BYTES], const char *directory,
			       const char *file);

/* Opens the directory, which is made (0700) when it is missing. Return: OK with *ret_fd, which the
 * caller closes; ERR_PERMISSION, ERR_IO. */
MUST_USE enum err state_directory_open(const char *directory, int *ret_fd,
				       char error[static STATE_ERROR_BYTES]);

/* Reads at most @cap bytes; a file that is missing has *ret_len 0. Return: OK, ERR_PERMISSION,
 * ERR_IO, DROP_MALFORMED for an empty one. */
MUST_USE enum err state_file_read(int dir, const char *directory, const char *file, uint8_t *buf,
				  size_t cap, size_t *ret_len,
				  char error[static STATE_ERROR_BYTES]);

/* Whole or not at all, mode 0600. Return: OK, ERR_PERMISSION, ERR_IO. */
MUST_USE enum err state_file_write(int dir, const char *directory, const char *file,
				   const uint8_t *buf, size_t len,
				   char error[static STATE_ERROR_BYTES]);

#endif
