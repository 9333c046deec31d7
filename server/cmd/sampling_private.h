/* sampling_private.h - the sampling settings of an answer on the terminal. */
#ifndef BERTH_SAMPLING_PRIVATE_H
#define BERTH_SAMPLING_PRIVATE_H

#include "berth/engine/scheduler/sampler.h"
#include "berth/loaders/loader.h"

/* The settings that the model's file recommends (general.sampling.*) over the ones for models that recommend none. What
 * is out of range in the file is left out. */
struct sampler_options sampling_of_file(const struct loaded *l);

#endif
