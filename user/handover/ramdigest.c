// SPDX-License-Identifier: GPL-2.0-only
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <endian.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

#include "base/interrupt.h"
#include "base/progress.h"
#include "handover/ramdigest.h"

#define BUFFER (256 * 1024)
#define MAX_THREADS 32		/* more threads do not read memory faster */
#define LOOK_MS 200

/**
 * struct ram - a memory file
 * @chunk: number of its first chunk
 */
struct ram {
	char *path;
	int fd;
	uint64_t size;
	size_t chunk;
};

/**
 * struct job - what the threads share
 * @files: the memory files
 * @nfiles: number of @files
 * @chunks: digest of each chunk of all files
 * @nchunks: number of @chunks
 * @total: bytes of all files
 * @next: the next chunk for a thread to take
 * @done: bytes read so far
 * @stop: the threads must end
 * @error: the first error, a negative errno; 0 if there is none
 * @bad: index of the file with that error
 * @bad_at: the byte there that could not be read
 * @ended: an eventfd; each thread adds 1 when it ends
 */
struct job {
	struct ram *files;
	size_t nfiles;
	XXH128_canonical_t *chunks;
	size_t nchunks;
	uint64_t total;
	atomic_size_t next;
	atomic_uint_fast64_t done;
	atomic_bool stop;
	atomic_int error;
	atomic_size_t bad;
	atomic_uint_fast64_t bad_at;
	int ended;
};

static void ramdigest_job_free(struct job *job)
{
	for (size_t i = 0; i < job->nfiles; i++) {
		free(job->files[i].path);
		if (job->files[i].fd >= 0)
			close(job->files[i].fd);
	}
	free(job->files);
	free(job->chunks);
	if (job->ended >= 0)
		close(job->ended);
}

static size_t ramdigest_chunks(const struct ram *file)
{
	return (file->size + RAM_CHUNK - 1) / RAM_CHUNK;
}

static int ramdigest_open_file(struct job *job, struct ram *file)
{
	struct stat st;

	file->fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (file->fd < 0 || fstat(file->fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	file->size = st.st_size;
	file->chunk = job->nchunks;
	job->nchunks += ramdigest_chunks(file);
	job->total += file->size;
	return 0;
}

static int ramdigest_open_files(struct job *job, const char *dir, const struct strv *names)
{
	job->files = xcalloc(names->n, sizeof(*job->files));
	for (size_t i = 0; i < names->n; i++) {
		struct ram *file = &job->files[job->nfiles++];
		int r;

		file->path = xasprintf("%s/%s", dir, names->v[i]);
		r = ramdigest_open_file(job, file);
		if (r < 0) {
			job->bad = i;
			return r;
		}
	}
	job->chunks = xcalloc(job->nchunks, sizeof(*job->chunks));
	job->ended = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return job->ended < 0 ? -errno : 0;
}

static size_t ramdigest_file(const struct job *job, size_t chunk)
{
	size_t i = job->nfiles - 1;

	while (job->files[i].chunk > chunk)
		i--;
	return i;
}

/* Advances @at by what was read. Returns: 0, 1 if the thread must stop, or -errno. */
static int ramdigest_read(struct job *job, const struct ram *file, uint64_t *at, uint64_t end,
			  XXH3_state_t *state, void *buf)
{
	while (*at < end) {
		size_t want = end - *at < BUFFER ? end - *at : BUFFER;
		ssize_t n = pread(file->fd, buf, want, *at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ENODATA;
		XXH3_128bits_update(state, buf, n);
		*at += n;
		job->done += n;
		if (job->stop)
			return 1;
	}
	return 0;
}

static void ramdigest_fail(struct job *job, size_t file, uint64_t at, int error)
{
	int none = 0;

	job->stop = true;
	if (!atomic_compare_exchange_strong(&job->error, &none, error))
		return;
	job->bad = file;
	job->bad_at = at;
}

static void ramdigest_hash_chunk(struct job *job, size_t chunk, XXH3_state_t *state, void *buf)
{
	size_t i = ramdigest_file(job, chunk);
	const struct ram *file = &job->files[i];
	uint64_t at = (chunk - file->chunk) * RAM_CHUNK;
	uint64_t left = file->size - at;
	int r;

	XXH3_128bits_reset(state);
	r = ramdigest_read(job, file, &at, at + (left < RAM_CHUNK ? left : RAM_CHUNK), state, buf);
	if (r == 0)
		XXH128_canonicalFromHash(&job->chunks[chunk], XXH3_128bits_digest(state));
	else if (r < 0)
		ramdigest_fail(job, i, at, r);
}

static void *ramdigest_thread(void *arg)
{
	XXH3_state_t *state = XXH3_createState();
	void *buf = malloc(BUFFER);
	struct job *job = arg;
	size_t chunk;

	if (!state || !buf)
		ramdigest_fail(job, 0, 0, -ENOMEM);
	while (!job->stop && (chunk = job->next++) < job->nchunks)
		ramdigest_hash_chunk(job, chunk, state, buf);
	free(buf);
	XXH3_freeState(state);
	eventfd_write(job->ended, 1);
	return NULL;
}

static size_t ramdigest_threads(const struct job *job)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	size_t n = cpus < 1 ? 1 : cpus > MAX_THREADS ? MAX_THREADS : cpus;

	return n < job->nchunks ? n : job->nchunks;
}

/* Wait until all threads have ended. Signals are handled here, if @interruptible. */
static void ramdigest_wait(struct job *job, size_t threads, bool interruptible)
{
	struct progress progress = progress_begin("digest of the guest's memory", job->total);
	const struct timespec look = { .tv_nsec = LOOK_MS * 1000000L };
	eventfd_t ended = 0, n;

	while (ended < threads) {
		struct pollfd pfd = { .fd = job->ended, .events = POLLIN };

		ppoll(&pfd, 1, &look, interruptible ? interrupt_mask() : NULL);
		if (eventfd_read(job->ended, &n) == 0)
			ended += n;
		if (interruptible && interrupted())
			job->stop = true;
		progress_show(&progress, job->done);
	}
	progress_end(&progress);
}

static void ramdigest_run_threads(struct job *job, bool interruptible)
{
	pthread_t threads[MAX_THREADS];
	size_t n = 0, want = ramdigest_threads(job);

	while (n < want && pthread_create(&threads[n], NULL, ramdigest_thread, job) == 0)
		n++;
	if (n == 0)
		ramdigest_thread(job);
	ramdigest_wait(job, n ? n : 1, interruptible);
	for (size_t i = 0; i < n; i++)
		pthread_join(threads[i], NULL);
}

static int ramdigest_combine(const struct job *job, uint8_t *bytes)
{
	XXH3_state_t *state = XXH3_createState();
	XXH128_canonical_t canon;

	if (!state)
		return -ENOMEM;
	XXH3_128bits_reset(state);
	for (size_t i = 0; i < job->nfiles; i++) {
		const struct ram *file = &job->files[i];
		uint64_t size = htole64(file->size);

		XXH3_128bits_update(state, &size, sizeof(size));
		XXH3_128bits_update(state, job->chunks + file->chunk,
				    ramdigest_chunks(file) * sizeof(*job->chunks));
	}
	XXH128_canonicalFromHash(&canon, XXH3_128bits_digest(state));
	XXH3_freeState(state);
	memcpy(bytes, canon.digest, DIGEST_BYTES);
	return 0;
}

static int ramdigest_report(const struct job *job, int r, struct err *err)
{
	const struct ram *file = &job->files[job->bad];
	uint64_t at = job->bad_at;

	if (r == -EIO)
		return fail(err, r, .what = "memory file", .value = file->path,
			    .why = fmt("page %llu, at byte %llu, cannot be read: memory error",
				       (unsigned long long)at / 4096, (unsigned long long)at),
			    .remedy = "without --digest-ram the guest can be saved; it must not "
				      "use that page");
	return fail(err, r, .what = "memory file", .value = file->path,
		    .why = r == -ENODATA ? fmt("it ends at byte %llu", (unsigned long long)at) :
					   strerror(-r));
}

int ramdigest_compute(const char *dir, const struct strv *files, bool interruptible, uint8_t *bytes,
		      struct err *err)
{
	_cleanup_(ramdigest_job_free) struct job job = { .ended = -1 };
	int r = ramdigest_open_files(&job, dir, files);

	if (r == 0) {
		ramdigest_run_threads(&job, interruptible);
		r = job.error;
	}
	if (r < 0)
		return ramdigest_report(&job, r, err);
	if (job.stop)
		return fail(err, -EINTR, .what = "digest of the guest's memory",
			    .why = "interrupted");
	return ramdigest_combine(&job, bytes);
}
