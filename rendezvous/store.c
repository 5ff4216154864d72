#include "rendezvous/store.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/core/crypto/secret.h"

static enum err from_errno(int error)
{
	switch (error) {
	case ENOENT:
	case ENOTDIR:
		return ERR_NOT_FOUND;
	case EEXIST:
		return ERR_EXISTS;
	case EACCES:
	case EPERM:
	case EROFS:
		return ERR_PERMISSION;
	default:
		return ERR_IO;
	}
}

enum err store_path(const char *directory, const char *name, char *ret, size_t cap)
{
	int n = snprintf(ret, cap, "%s/%s", directory, name);

	return n > 0 && (size_t)n < cap ? OK : ERR_NO_SPACE;
}

enum err store_make_directory(const char *directory)
{
	char path[PATH_MAX];
	struct stat st;

	if (snprintf(path, sizeof(path), "%s", directory) >= (int)sizeof(path))
		return ERR_IO;
	for (char *p = strchr(path + 1, '/'); p; p = strchr(p + 1, '/')) {
		*p = '\0';
		if (mkdir(path, 0755) && errno != EEXIST)
			return from_errno(errno);
		*p = '/';
	}
	if (mkdir(path, 0700) == 0)
		return OK;
	if (errno != EEXIST)
		return from_errno(errno);
	if (stat(path, &st))
		return from_errno(errno);
	if (!S_ISDIR(st.st_mode))
		return ERR_IO;
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return ERR_PERMISSION;
	return chmod(path, 0700) ? from_errno(errno) : OK;
}

static enum err write_all(int fd, const uint8_t *data, size_t len)
{
	while (len) {
		ssize_t n = write(fd, data, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return ERR_IO;
		data += n;
		len -= (size_t)n;
	}
	return fsync(fd) ? ERR_IO : OK;
}

enum err store_write(const char *directory, const char *name, unsigned mode, const void *data,
		     size_t len)
{
	char path[PATH_MAX];
	enum err err = store_path(directory, name, path, sizeof(path));
	int fd;

	if (err != OK)
		return err;
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		return from_errno(errno);
	err = write_all(fd, data, len);
	if (close(fd) && err == OK)
		err = ERR_IO;
	return err;
}

enum err store_write_key(const char *directory, const char *name, unsigned mode,
			 const uint8_t key[static STORE_KEY_BYTES])
{
	char text[2 * STORE_KEY_BYTES + 2];
	enum err err;

	for (size_t i = 0; i < STORE_KEY_BYTES; i++)
		snprintf(text + 2 * i, 3, "%02x", key[i]);
	text[2 * STORE_KEY_BYTES] = '\n';
	err = store_write(directory, name, mode, text, 2 * STORE_KEY_BYTES + 1);
	secret_wipe(text, sizeof(text));
	return err;
}

static int hex_digit(char c)
{
	const char *digits = "0123456789abcdef";
	const char *at = c ? strchr(digits, c) : NULL;

	return at ? (int)(at - digits) : -1;
}

/* Exactly 64 digits, and nothing behind them but one newline. */
static enum err parse_key(const char *text, size_t len, uint8_t ret[static STORE_KEY_BYTES])
{
	uint8_t key[STORE_KEY_BYTES];

	if (len == 2 * STORE_KEY_BYTES + 1 && text[len - 1] == '\n')
		len--;
	if (len != 2 * STORE_KEY_BYTES)
		return ERR_KEY;
	for (size_t i = 0; i < STORE_KEY_BYTES; i++) {
		int hi = hex_digit(text[2 * i]);
		int lo = hex_digit(text[2 * i + 1]);

		if (hi < 0 || lo < 0)
			return ERR_KEY;
		key[i] = (uint8_t)(hi << 4 | lo);
	}
	memcpy(ret, key, sizeof(key));
	secret_wipe(key, sizeof(key));
	return OK;
}

enum err store_read_key(const char *directory, const char *name, bool is_secret,
			uint8_t ret[static STORE_KEY_BYTES])
{
	char path[PATH_MAX];
	char text[2 * STORE_KEY_BYTES + 8];
	enum err err = store_path(directory, name, path, sizeof(path));
	struct stat st;
	ssize_t n;
	int fd;

	if (err != OK)
		return err;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return from_errno(errno);
	if (fstat(fd, &st) || (is_secret && (st.st_mode & 077))) {
		close(fd);
		return ERR_KEY;
	}
	n = read(fd, text, sizeof(text));
	close(fd);
	err = n < 0 ? ERR_IO : parse_key(text, (size_t)n, ret);
	secret_wipe(text, sizeof(text));
	return err;
}
