/* float_text.c - the shortest decimal of a float.
 *
 * A number of some digits is right when digits / 10^k, rounded to double and then to float, is the float. Powers of ten up
 * to 10^22 are doubles, so nothing else is rounded. Numbers that need larger ones are rare, and take printf's way.
 */
#include "berth/base/float_text.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define DIGITS_MOST 9 /* of which every float has enough */
#define DIGITS_USUAL 8

/* 10^k, exact up to 22. */
static double power(int k)
{
    double p = 1;
    while (k-- > 0)
        p *= 10;
    return p;
}

/* x = 0.D1D2… * 10^point, for x from 1e-13 to below 1e9. */
static int point_of(double x)
{
    int point = 0;
    while (x >= power(point))
        point++;
    while (point <= 0 && x * power(1 - point) < 1)
        point--;
    return point;
}

/* The nearest whole number to x * 10^k; k may be below 0. */
static uint64_t scaled(double x, int k)
{
    return (uint64_t)llrint(k >= 0 ? x * power(k) : x / power(-k));
}

static double unscaled(uint64_t digits, int k)
{
    return k >= 0 ? (double)digits / power(k) : (double)digits * power(-k);
}

static int is_right(float x, int k)
{
    return (float)unscaled(scaled((double)x, k), k) == x;
}

/* The least number of digits behind the point, below 0 for zeros before it. More digits are never worse. */
static int places_of(float x, int point)
{
    int k = DIGITS_USUAL - point, most = DIGITS_MOST - point;
    if (!is_right(x, k))
        return most;
    while (k > 1 - point && is_right(x, k - 1))
        k--;
    return k;
}

static size_t put_digits(char *out, uint64_t digits)
{
    char text[24];
    size_t n = 0;
    do
        text[n++] = (char)('0' + digits % 10);
    while ((digits /= 10) > 0);
    for (size_t i = 0; i < n; i++)
        out[i] = text[n - 1 - i];
    return n;
}

/* digits / 10^k with a point in it. */
static size_t put_point(char *out, uint64_t digits, int k)
{
    uint64_t scale = (uint64_t)power(k), rest = digits % scale;
    size_t n = put_digits(out, digits / scale);
    out[n++] = '.';
    for (int i = k; i-- > 0; rest /= 10)
        out[n + (size_t)i] = (char)('0' + rest % 10);
    n += (size_t)k;
    return n;
}

size_t float_text(char out[FLOAT_TEXT], float x)
{
    size_t n = 0;
    float size = fabsf(x);
    if (!isfinite(x))
        return memcpy(out, "null", 4), 4;
    if (signbit(x))
        out[n++] = '-';
    if (size == 0)
        return out[n] = '0', n + 1;
    if (size < 1e-5f || size >= 1e9f)
        return (size_t)snprintf(out, FLOAT_TEXT, "%.9g", (double)x);
    int k = places_of(size, point_of((double)size));
    uint64_t digits = scaled((double)size, k);
    if (k > 0)
        return n + put_point(out + n, digits, k);
    return n + put_digits(out + n, digits * (uint64_t)power(-k));
}
