/*
 * Copyright the Kurier authors. SPDX-License-Identifier: Apache-2.0
 *
 * Design notes: the machine's speed changes from second to second more than ours differs from bare librdkafka's. So
 * rounds are short, the two sides take turns, and what is compared is each round with its neighbour; the median of
 * these ratios is hardly moved by a round that something disturbed.
 */
#include "bench.h"

#include <dirent.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    WARM_UP_ROUNDS = 3
};

/* ---- Statistics ---- */

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(const double *values, int count)
{
    double sorted[BENCH_RUNS_MAX];
    memcpy(sorted, values, (size_t)count * sizeof *values);
    qsort(sorted, (size_t)count, sizeof *sorted, compare);
    return (sorted[(count - 1) / 2] + sorted[count / 2]) / 2;
}

struct summary {
    double value, min, max, baseline_value, ratio;
    bool met;
};

static bool is_met(const bench_case *one, double value, double ratio)
{
    switch (one->bound) {
    case BENCH_RATIO_AT_LEAST:
        return ratio >= one->target;
    case BENCH_RATIO_AT_MOST:
        return ratio <= one->target;
    case BENCH_VALUE_AT_MOST:
        return value <= one->target;
    case BENCH_VALUE_AT_LEAST:
        return value >= one->target;
    default:
        return true;
    }
}

static struct summary summarise(const bench_case *one)
{
    double ratios[BENCH_RUNS_MAX];
    struct summary s = {.value = bench_median(one->values, one->runs), .min = one->values[0], .max = one->values[0]};
    for (int i = 0; i < one->runs; i++) {
        s.min = one->values[i] < s.min ? one->values[i] : s.min;
        s.max = one->values[i] > s.max ? one->values[i] : s.max;
        ratios[i] = one->baseline != NULL ? one->values[i] / one->baseline_values[i] : 0;
    }
    if (one->baseline != NULL) {
        s.baseline_value = bench_median(one->baseline_values, one->runs);
        s.ratio = bench_median(ratios, one->runs);
    }
    s.met = is_met(one, s.value, s.ratio);
    return s;
}

/* ---- Output ---- */

void bench_heading(const bench_options *options)
{
    if (!options->json)
        printf("%-11s %-22s %-10s %11s %23s  %-24s %11s %6s %9s %s\n", "bench", "case", "unit", "median",
               "least–greatest", "baseline", "its median", "ratio", "target", "met");
}

/* Names and units are our own and hold nothing that JSON escapes. */
static void print_json(const bench_case *one, const struct summary *s)
{
    printf("{\"bench\":\"%s\",\"case\":\"%s\",\"unit\":\"%s\",\"value\":%.6g,\"min\":%.6g,\"max\":%.6g,\"runs\":%d,",
           one->bench, one->name, one->unit, s->value, s->min, s->max, one->runs);
    if (one->baseline != NULL)
        printf("\"baseline\":\"%s\",\"baseline_value\":%.6g,\"ratio\":%.4f,", one->baseline, s->baseline_value,
               s->ratio);
    else
        printf("\"baseline\":null,\"baseline_value\":null,\"ratio\":null,");
    if (one->bound != BENCH_REPORT_ONLY)
        printf("\"target\":%g,\"met\":%s}\n", one->target, s->met ? "true" : "false");
    else
        printf("\"target\":null,\"met\":null}\n");
}

static void format(char text[16], double value)
{
    snprintf(text, 16, value >= 1000 ? "%.0f" : value >= 10 ? "%.1f" : "%.3f", value);
}

static void print_row(const bench_case *one, const struct summary *s)
{
    char value[16], least[16], greatest[16], spread[40], baseline[16] = "", ratio[16] = "", target[32] = "";
    format(value, s->value);
    format(least, s->min);
    format(greatest, s->max);
    snprintf(spread, sizeof spread, "%s–%s", least, greatest);
    if (one->baseline != NULL) {
        format(baseline, s->baseline_value);
        snprintf(ratio, sizeof ratio, "%.3f", s->ratio);
    }
    bool is_least = one->bound == BENCH_RATIO_AT_LEAST || one->bound == BENCH_VALUE_AT_LEAST;
    if (one->bound != BENCH_REPORT_ONLY)
        snprintf(target, sizeof target, "%s %g", is_least ? "≥" : "≤", one->target);
    /* printf counts bytes: the signs beyond ASCII have three. */
    printf("%-11s %-22s %-10s %11s %25s  %-24s %11s %6s %*s %s\n", one->bench, one->name, one->unit, value, spread,
           one->baseline != NULL ? one->baseline : "", baseline, ratio, target[0] != '\0' ? 11 : 9, target,
           one->bound == BENCH_REPORT_ONLY ? ""
           : s->met                        ? "yes"
                                           : "NO");
}

void bench_report(const bench_options *options, const bench_case *one)
{
    struct summary s = summarise(one);
    if (options->json)
        print_json(one, &s);
    else
        print_row(one, &s);
    fflush(stdout);
}

void bench_fail(const char *format_, ...)
{
    va_list arguments;
    va_start(arguments, format_);
    fputs("bench: ", stderr);
    vfprintf(stderr, format_, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    exit(1);
}

/* ---- Rounds ---- */

static double seconds_of(clockid_t clock)
{
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

bench_sample bench_now(void)
{
    return (bench_sample){seconds_of(CLOCK_MONOTONIC), seconds_of(CLOCK_PROCESS_CPUTIME_ID)};
}

bench_sample bench_since(bench_sample start)
{
    bench_sample now = bench_now();
    return (bench_sample){now.seconds - start.seconds, now.cpu_seconds - start.cpu_seconds};
}

void bench_count(struct bench_counter *counter)
{
    size_t number = atomic_fetch_add_explicit(&counter->count, 1, memory_order_relaxed) + 1;
    if (number == 1)
        counter->start = bench_now();
    if (number != counter->wanted)
        return;
    counter->took = bench_since(counter->start);
    pthread_mutex_lock(&counter->lock);
    counter->is_over = true;
    pthread_cond_signal(&counter->over);
    pthread_mutex_unlock(&counter->lock);
}

bench_sample bench_counted(struct bench_counter *counter)
{
    pthread_mutex_lock(&counter->lock);
    while (!counter->is_over)
        pthread_cond_wait(&counter->over, &counter->lock);
    pthread_mutex_unlock(&counter->lock);
    return counter->took;
}

void bench_run_pair(const bench_options *options, const bench_pair *pair)
{
    static bench_case by_clock, by_cpu;
    char cpu_name[64];
    int runs = options->runs > 0 ? options->runs : pair->runs;
    snprintf(cpu_name, sizeof cpu_name, "%s, CPU", pair->name);
    by_clock = (bench_case){.bench = pair->bench,
                            .name = pair->name,
                            .unit = "records/s",
                            .baseline = pair->baseline,
                            .bound = pair->least_ratio > 0 ? BENCH_RATIO_AT_LEAST : BENCH_REPORT_ONLY,
                            .target = pair->least_ratio,
                            .runs = runs};
    by_cpu = (bench_case){
        .bench = pair->bench, .name = cpu_name, .unit = "ns/record", .baseline = pair->baseline, .runs = runs};
    for (int i = -WARM_UP_ROUNDS; i < runs; i++) {
        bench_sample ours, bare;
        if (i % 2 == 0)
            ours = pair->ours(pair->ours_side);
        bare = pair->bare(pair->bare_side);
        if (i % 2 != 0)
            ours = pair->ours(pair->ours_side);
        if (i < 0)
            continue;
        by_clock.values[i] = pair->records / ours.seconds;
        by_clock.baseline_values[i] = pair->records / bare.seconds;
        by_cpu.values[i] = ours.cpu_seconds / pair->records * 1e9;
        by_cpu.baseline_values[i] = bare.cpu_seconds / pair->records * 1e9;
    }
    bench_report(options, &by_clock);
    bench_report(options, &by_cpu);
}

double bench_memory_mib(const char *field)
{
    char line[256];
    double kib = 0;
    size_t size = strlen(field);
    FILE *status = fopen("/proc/self/status", "re");
    if (status == NULL)
        bench_fail("/proc/self/status");
    while (fgets(line, sizeof line, status) != NULL)
        if (strncmp(line, field, size) == 0 && sscanf(line + size, ": %lf", &kib) == 1)
            break;
    fclose(status);
    return kib / 1024;
}

/* What a process has used, when it is of one of those that are asked for. */
static void add_process(bench_machine *sum, const char *number, double tick)
{
    char path[64], line[1024];
    unsigned long user = 0, kernel = 0;
    snprintf(path, sizeof path, "/proc/%.20s/stat", number);
    FILE *stat = fopen(path, "re");
    if (stat == NULL) /* it has ended */
        return;
    char *from = fgets(line, sizeof line, stat), *behind = from != NULL ? strrchr(line, ')') : NULL;
    fclose(stat);
    if (behind == NULL ||
        sscanf(behind + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &kernel) != 2)
        return;
    if (strstr(line, "(postgres)") != NULL)
        sum->database += (double)(user + kernel) * tick;
    if (strstr(line, "(java)") != NULL)
        sum->broker += (double)(user + kernel) * tick;
}

bench_machine bench_machine_now(void)
{
    bench_machine sum = {0};
    double idle, waiting, tick = 1.0 / (double)sysconf(_SC_CLK_TCK);
    FILE *stat = fopen("/proc/stat", "re");
    if (stat == NULL || fscanf(stat, "cpu %*f %*f %*f %lf %lf", &idle, &waiting) != 2)
        bench_fail("/proc/stat");
    fclose(stat);
    sum.idle = idle * tick, sum.waiting = waiting * tick;
    DIR *processes = opendir("/proc");
    if (processes == NULL)
        bench_fail("/proc");
    for (const struct dirent *entry; (entry = readdir(processes)) != NULL;)
        if (entry->d_name[0] >= '1' && entry->d_name[0] <= '9')
            add_process(&sum, entry->d_name, tick);
    closedir(processes);
    return sum;
}

bench_machine bench_machine_since(bench_machine start, double seconds)
{
    bench_machine now = bench_machine_now();
    return (bench_machine){(now.database - start.database) / seconds, (now.broker - start.broker) / seconds,
                           (now.idle - start.idle) / seconds, (now.waiting - start.waiting) / seconds};
}

void bench_in_process(void (*run)(void *task), void *task, void *figures, size_t size)
{
    int ends[2], status;
    fflush(stdout);
    if (pipe(ends) != 0)
        bench_fail("pipe");
    pid_t child = fork();
    if (child == 0) {
        run(task);
        _exit(write(ends[1], figures, size) != (ssize_t)size);
    }
    close(ends[1]);
    if (child < 0 || read(ends[0], figures, size) != (ssize_t)size || waitpid(child, &status, 0) != child ||
        status != 0)
        bench_fail("a measuring process did not end well");
    close(ends[0]);
}
