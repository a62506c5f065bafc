// Walks in the host's graph: what feeds an input, and the names that the server knows a node by.
/** @import { App, Graph, GraphNode, Link } from './types.js' */

const BYPASSED = 4, MUTED = 2
const SUBGRAPH_INPUT = -10 // the id of the inner end of a subgraph's inputs

/** The graph at the top. @param {App} app */
export const rootOf = (app) => app.rootGraph ?? app.graph

/** The id under which the host keeps a node's outputs: "7", or "<uuid of its subgraph>:7". @param {GraphNode} node */
export function locator(node) {
  const graph = node.graph
  const nested = graph && graph.rootGraph && graph !== graph.rootGraph
  return nested ? `${graph.id}:${node.id}` : String(node.id)
}

/**
 * All subgraph nodes with the ids of the nodes around them, from the top.
 * @param {Graph | undefined} graph @param {string} [prefix] @returns {{node: GraphNode, id: string}[]}
 */
function instances(graph, prefix = '') {
  const out = []
  for (const node of graph?.nodes ?? []) {
    if (!node.subgraph) continue
    out.push({ node, id: prefix + node.id }, ...instances(node.subgraph, `${prefix}${node.id}:`))
  }
  return out
}

/** The ids of a node in a prompt: "7", or "3:7" in the subgraph node 3; several if its subgraph is used several times.
 * @param {App} app @param {GraphNode} node @returns {string[]} */
export function promptIds(app, node) {
  const root = rootOf(app)
  if (!node.graph || node.graph === root) return [String(node.id)]
  return instances(root).filter((i) => i.node.subgraph === node.graph).map((i) => `${i.id}:${node.id}`)
}

/**
 * The node and slot whose value arrives at an input: through reroutes, bypassed nodes and the borders of subgraphs.
 * @typedef {{node: GraphNode, slot: number}} Source
 * @param {App} app @param {GraphNode} node @param {number} slot @returns {Source | null}
 */
export function sourceOf(app, node, slot) {
  let { graph } = node
  let link = linkInto(node, slot)
  for (let steps = 0; link && steps < 100; steps++) {
    if (Number(link.origin_id) === SUBGRAPH_INPUT) {
      const inner = graph
      const outer = instances(rootOf(app)).find((i) => i.node.subgraph === inner)?.node
      graph = outer?.graph
      link = outer ? linkInto(outer, link.origin_slot) : null
      continue
    }
    const origin = graph?.getNodeById(link.origin_id)
    if (!origin || origin.mode === MUTED) return null
    if (passes(origin)) {
      link = linkInto(origin, through(origin, link.type))
    } else if (origin.subgraph) {
      graph = origin.subgraph
      link = linkOf(graph, graph.outputs?.[link.origin_slot]?.linkIds?.[0])
    } else return { node: origin, slot: link.origin_slot }
  }
  return null
}

/** @param {GraphNode} node */
export const typeOf = (node) => node.comfyClass ?? node.type

/** The open graph and all that lies inside of it. @param {App} app @returns {Graph[]} */
export function graphsOf(app) {
  const root = rootOf(app)
  return [...new Set([root, ...instances(root).map((i) => i.node.subgraph)])].filter((graph) => !!graph)
}

/**
 * All nodes whose values go into a node, however far before it.
 * @param {App} app @param {GraphNode} node @param {(from: GraphNode, slot: number) => boolean} [goes] which of them count
 */
export function above(app, node, goes = () => true) {
  const out = /** @type {Set<GraphNode>} */ (new Set()), open = [node]
  for (let next = open.pop(); next; next = open.pop()) {
    for (let slot = 0; slot < (next.inputs?.length ?? 0); slot++) {
      const from = sourceOf(app, next, slot)
      if (!from || out.has(from.node) || !goes(from.node, from.slot)) continue
      out.add(from.node)
      open.push(from.node)
    }
  }
  return out
}

/**
 * The nodes of a type into whose input the value of `node` arrives.
 * @param {App} app @param {GraphNode} node @param {string} type @param {string} input @returns {GraphNode[]}
 */
export function fedBy(app, node, type, input) {
  const graphs = new Set([rootOf(app), node.graph])
  const there = [...graphs].flatMap((g) => g?.nodes ?? []).filter((n) => n.comfyClass === type && n.mode !== MUTED && n.mode !== BYPASSED)
  return there.filter((n) => sourceOf(app, n, n.inputs?.findIndex((i) => i.name === input) ?? -1)?.node === node)
}

/** The link that ends at an input. @param {GraphNode} node @param {number} slot */
const linkInto = (node, slot) => linkOf(node.graph, node.inputs?.[slot]?.link)

/** @param {Graph | null | undefined} graph @param {number | null | undefined} id @returns {Link | null} */
const linkOf = (graph, id) => (id == null ? null : graph?.getLink?.(id) ?? graph?.links?.get?.(id) ?? graph?.links?.[id] ?? null)

const passes = (/** @type {GraphNode} */ node) => node.mode === BYPASSED || node.type === 'Reroute'

/** The input whose value a passing node hands on. @param {GraphNode} node @param {string} type */
function through(node, type) {
  const inputs = node.inputs ?? []
  if (node.type === 'Reroute') return inputs.length ? 0 : -1
  return inputs.findIndex((input) => input.type === type)
}
