/* harness.c - time, strings and files of tests; see harness.h. */
#include "harness.h"

#include "harness_private.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Strings that live until harness_end, in a list. */
struct kept {
    struct kept *next;
    char text[];
};

static struct kept *kept_texts;
static pthread_mutex_t kept_lock = PTHREAD_MUTEX_INITIALIZER; /* a test may ask in several threads */
static char temp_root[128];
static unsigned temp_count;

/* ---- time, strings, files ---- */

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void pause_ms(int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

const char *text_of(const char *format, ...)
{
    va_list values, again;
    va_start(values, format);
    va_copy(again, values);
    int length = vsnprintf(NULL, 0, format, values);
    va_end(values);
    struct kept *k = malloc(sizeof(*k) + (size_t)length + 1);
    assert_non_null(k);
    vsnprintf(k->text, (size_t)length + 1, format, again);
    va_end(again);
    pthread_mutex_lock(&kept_lock);
    k->next = kept_texts;
    kept_texts = k;
    pthread_mutex_unlock(&kept_lock);
    return k->text;
}

const char *path_in(const char *dir, const char *name)
{
    return text_of("%s/%s", dir, name);
}

const char *temp_dir(void)
{
    if (!temp_root[0]) {
        const char *base = getenv("TMPDIR");
        snprintf(temp_root, sizeof(temp_root), "%s/berth-http-XXXXXX", base ? base : "/tmp");
        if (!mkdtemp(temp_root) || chmod(temp_root, 0755))
            fail_msg("cannot make %s: %s", temp_root, strerror(errno));
    }
    const char *dir = text_of("%s/%u", temp_root, temp_count++);
    if (mkdir(dir, 0755))
        fail_msg("cannot make %s: %s", dir, strerror(errno));
    return dir;
}

static void make_parents(const char *path)
{
    char part[4096];
    snprintf(part, sizeof(part), "%s", path);
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0755) && errno != EEXIST)
            fail_msg("cannot make %s: %s", part, strerror(errno));
        *slash = '/';
    }
}

void write_file(const char *dir, const char *name, const void *bytes, size_t size)
{
    const char *path = path_in(dir, name);
    make_parents(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        fail_msg("cannot make %s: %s", path, strerror(errno));
    if (bytes)
        assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    else
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
    close(fd);
}

void write_gguf(const char *dir, const char *name)
{
    static const char file[] = "GGUF\x03\0\0\0"
                               "\0\0\0\0\0\0\0\0" /* no tensors */
                               "\x01\0\0\0\0\0\0\0" /* one pair */
                               "\x14\0\0\0\0\0\0\0general.architecture"
                               "\x08\0\0\0" /* a string */
                               "\x05\0\0\0\0\0\0\0llama";
    write_file(dir, name, file, sizeof(file) - 1);
}

const char *volume_with_a_model(void)
{
    const char *dir = temp_dir();
    write_gguf(dir, "tiny.gguf");
    return dir;
}

char *read_whole(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        fail_msg("cannot read %s: %s", path, strerror(errno));
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    char *text = malloc((size_t)st.st_size + 1);
    assert_non_null(text);
    ssize_t got = read(fd, text, (size_t)st.st_size);
    assert_true(got >= 0);
    text[got] = '\0';
    close(fd);
    return text;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
    (void)st;
    (void)kind;
    (void)walk;
    return remove(path);
}

int harness_end(void **state)
{
    (void)state;
    while (kept_texts) {
        struct kept *next = kept_texts->next;
        free(kept_texts);
        kept_texts = next;
    }
    if (temp_root[0])
        nftw(temp_root, remove_one, 32, FTW_DEPTH | FTW_PHYS);
    temp_root[0] = '\0';
    return 0;
}

int free_port(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &size), 0);
    close(fd);
    return ntohs(at.sin_port);
}
