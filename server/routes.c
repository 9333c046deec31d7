/* routes.c - joins the tables of the APIs. The page's comes last: --ui off leaves it out. */
#include "berth/server/routes.h"

const struct route_table *const route_tables[] = {
    &fastapi_routes, &oip_routes, &openai_routes, &anthropic_routes, &ollama_routes, &llamacpp_routes, &web_routes};

const size_t n_route_tables = sizeof(route_tables) / sizeof(route_tables[0]);
