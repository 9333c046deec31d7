/* scanned.h - scans the directory models/ of a test's scratch directory, and says what was found. */
#ifndef BERTH_TESTS_SCANNED_H
#define BERTH_TESTS_SCANNED_H

#include "scratch.h"

#include "berth/loaders/scan.h"

#include <errno.h>

#define VOLUME "models"

static inline void scan(struct scan *s, const char *path)
{
    struct error err = {0};
    struct volume v;
    assert_int_equal(volume_open(&v, path, &err), VOLUME_OPEN);
    if (!scan_volume(s, &v, &err))
        fail_msg("%s", err.text);
    volume_close(&v);
}

static inline const struct scan_model *find(const struct scan *s, const char *id)
{
    for (size_t i = 0; i < s->n_models; i++)
        if (strcmp(s->models[i].id, id) == 0)
            return &s->models[i];
    fail_msg("no model \"%s\" among %zu", id, s->n_models);
    return NULL;
}

/* A line per model, "id <- path", with the version when it is not 1, with the manifest and with the reason when there is
 * one. */
static inline void expect(const char *path, const char *lines)
{
    struct scan s;
    char text[8192] = "";
    size_t at = 0;
    scan(&s, path);
    for (size_t i = 0; i < s.n_models; i++) {
        const struct scan_model *m = &s.models[i];
        char version[32] = "";
        if (m->version != 1)
            snprintf(version, sizeof(version), " v%llu", (unsigned long long)m->version);
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s <- %s%s%s%s%s%s\n", m->id, m->path, version,
            m->manifest ? " by " : "", m->manifest ? m->manifest : "", m->reason ? " ! " : "",
            m->reason ? m->reason : "");
        assert_true(at < sizeof(text));
    }
    assert_string_equal(text, lines);
    scan_release(&s);
}

static inline void put(const char *path)
{
    char full[4096];
    snprintf(full, sizeof(full), VOLUME "/%s", path);
    scratch_write(full, "x");
}

/* "title path" of each directory that was recognized, with a semicolon behind it. */
static inline void expect_layouts(const char *path, const char *wanted)
{
    struct scan s;
    char text[2048] = "";
    scan(&s, path);
    for (size_t i = 0; i < s.n_layouts; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s %s;", s.layouts[i].title,
            s.layouts[i].path);
    assert_string_equal(text, wanted);
    scan_release(&s);
}

#endif
