// The host's scripts that web/ imports, and the one global it asks for; what we use of them is in web/lib/host/types.js.
type App = import('../../web/lib/host/types.js').App
type Api = import('../../web/lib/host/types.js').Api
type GraphNode = import('../../web/lib/host/types.js').GraphNode

declare module '*/scripts/app.js' {
  export const app: App
}

declare module '*/scripts/api.js' {
  export const api: Api
}

declare var LiteGraph: { createNode: (type: string) => GraphNode | null; vueNodesMode?: boolean } | undefined
