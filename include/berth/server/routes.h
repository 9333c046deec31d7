/* routes.h - the tables of routes that the server joins. Each is defined in the folder of its API. */
#ifndef BERTH_ROUTES_H
#define BERTH_ROUTES_H

#include "berth/server/http/route.h"

extern const struct route_table fastapi_routes; /* the service itself, probes, metrics, documentation */
extern const struct route_table oip_routes; /* the Open Inference Protocol's health */
extern const struct route_table openai_routes;
extern const struct route_table anthropic_routes;
extern const struct route_table ollama_routes;
extern const struct route_table llamacpp_routes; /* llama.cpp's and vLLM's, at the root */
extern const struct route_table web_routes; /* the page */

/* All of them, in the order in which the documentation shows them; the page's is the last. */
extern const struct route_table *const route_tables[];
extern const size_t n_route_tables;

#endif
