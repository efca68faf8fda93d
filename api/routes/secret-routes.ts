/**
 * /secrets and /configs. Edge: to the manager's control API. A secret's data goes in and never comes out.
 */
import { base64In } from "../convert/base64-in.js";
import type { Fields } from "../convert/fields.js";
import { configOut, secretOut } from "../convert/objects-out.js";
import { listFilters, parseFilters } from "../filters.js";
import type { ManagerClients } from "../manager-clients.js";
import type { Route } from "./route.js";

const FILTER_KEYS = ["id", "label", "name", "names"];

const annotationsIn = (fields: Fields): { name: string; labels: Record<string, string> } => ({
  name: fields.string("Name"),
  labels: fields.stringMap("Labels"),
});

export function secretRoutes(clients: ManagerClients): Route[] {
  return [
    {
      method: "GET",
      path: "/secrets",
      handle: async ({ query }) => {
        const filters = listFilters(parseFilters(query.get("filters"), FILTER_KEYS));
        const { secrets } = await clients.call((control) => control.listSecrets, { filters });
        return { status: 200, json: secrets.map(secretOut) };
      },
    },
    {
      method: "POST",
      path: "/secrets/create",
      handle: async (exchange) => {
        const body = await exchange.body();
        const driver = body.object("Driver");
        const { secret } = await clients.call((control) => control.createSecret, {
          annotations: annotationsIn(body),
          data: base64In(body, "Data"),
          driverName: driver?.string("Name") ?? "",
          driverOptions: driver?.stringMap("Options") ?? {},
          templateDriver: body.object("Templating")?.string("Name") ?? "",
        });
        return { status: 201, json: { ID: secret?.id ?? "" } };
      },
    },
    {
      method: "GET",
      path: "/secrets/:id",
      handle: async (exchange) => {
        const { secret } = await clients.call((control) => control.getSecret, { id: exchange.param("id") });
        return { status: 200, json: secret && secretOut(secret) };
      },
    },
    {
      method: "DELETE",
      path: "/secrets/:id",
      handle: async (exchange) => {
        await clients.call((control) => control.removeSecret, { id: exchange.param("id") });
        return { status: 204 };
      },
    },
    {
      method: "POST",
      path: "/secrets/:id/update",
      handle: async (exchange) => {
        const body = await exchange.body();
        await clients.call((control) => control.updateSecret, {
          id: exchange.param("id"),
          version: exchange.version(),
          annotations: annotationsIn(body),
          data: base64In(body, "Data"),
        });
        return { status: 200 };
      },
    },
  ];
}

export function configRoutes(clients: ManagerClients): Route[] {
  return [
    {
      method: "GET",
      path: "/configs",
      handle: async ({ query }) => {
        const filters = listFilters(parseFilters(query.get("filters"), FILTER_KEYS));
        const { configs } = await clients.call((control) => control.listConfigs, { filters });
        return { status: 200, json: configs.map(configOut) };
      },
    },
    {
      method: "POST",
      path: "/configs/create",
      handle: async (exchange) => {
        const body = await exchange.body();
        const { config } = await clients.call((control) => control.createConfig, {
          annotations: annotationsIn(body),
          data: base64In(body, "Data"),
          templateDriver: body.object("Templating")?.string("Name") ?? "",
        });
        return { status: 201, json: { ID: config?.id ?? "" } };
      },
    },
    {
      method: "GET",
      path: "/configs/:id",
      handle: async (exchange) => {
        const { config } = await clients.call((control) => control.getConfig, { id: exchange.param("id") });
        return { status: 200, json: config && configOut(config) };
      },
    },
    {
      method: "DELETE",
      path: "/configs/:id",
      handle: async (exchange) => {
        await clients.call((control) => control.removeConfig, { id: exchange.param("id") });
        return { status: 204 };
      },
    },
    {
      method: "POST",
      path: "/configs/:id/update",
      handle: async (exchange) => {
        const body = await exchange.body();
        await clients.call((control) => control.updateConfig, {
          id: exchange.param("id"),
          version: exchange.version(),
          annotations: annotationsIn(body),
          data: base64In(body, "Data"),
        });
        return { status: 200 };
      },
    },
  ];
}
