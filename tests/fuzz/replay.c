/* Runs a fuzz target over files, without libFuzzer: `fuzz_NAME FILE|DIRECTORY...`. */
#include <dirent.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/fuzz/fuzz.h"

#define MAX_PATH_BYTES 4096

static size_t count;

static int replay_file(const char *path)
{
	FILE *f = fopen(path, "rb");
	uint8_t *data;
	struct stat st;
	size_t size;
	bool ok;

	if (!f || fstat(fileno(f), &st) != 0) {
		perror(path);
		if (f)
			fclose(f);
		return 1;
	}
	size = (size_t)st.st_size;
	data = malloc(size ? size : 1);
	ok = data && fread(data, 1, size, f) == size;
	fclose(f);
	if (ok) {
		LLVMFuzzerTestOneInput(data, size);
		count++;
	} else {
		fprintf(stderr, "%s: cannot be read\n", path);
	}
	free(data);
	return ok ? 0 : 1;
}

static int replay_directory(const char *path)
{
	struct dirent **entries;
	int n = scandir(path, &entries, NULL, alphasort);
	int failed = 0;

	if (n < 0) {
		perror(path);
		return 1;
	}
	for (int i = 0; i < n; i++) {
		char file[MAX_PATH_BYTES];

		snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
		if (entries[i]->d_name[0] != '.')
			failed |= replay_file(file);
		free(entries[i]);
	}
	free(entries);
	return failed;
}

int main(int argc, char **argv)
{
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		struct stat st;
		bool directory = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);

		failed |= directory ? replay_directory(argv[i]) : replay_file(argv[i]);
	}
	printf("%zu inputs\n", count);
	if (count == 0)
		fprintf(stderr, "nothing was replayed\n");
	return failed || count == 0;
}
