# What `cmake --install` puts where: programs, static libraries, public headers, presets and the
# package that find_package(nearfar) reads. tests/install/ builds examples/ against the result.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

set(NEARFAR_PACKAGE_DIR ${CMAKE_INSTALL_LIBDIR}/cmake/nearfar)
set(NEARFAR_HEADER_DIR ${CMAKE_INSTALL_INCLUDEDIR}/nearfar)

# Public by place: headers of a package's top folder, and those of sub-folders that they include.
# Headers that only the package's own sources include are not listed.
set(NEARFAR_PUBLIC_HEADERS
    cloud_client/call.h
    cloud_client/cloud_client.h
    cloud_client/options.h
    local_engine/engine.h
    local_engine/engine_stats.h
    local_engine/limits.h
    local_engine/sampling_options.h
    local_engine/session.h
    local_engine/speed.h
    local_engine/token.h
    policies/decision.h
    policies/estimators/calibration.h
    policies/explain.h
    policies/policy.h
    policies/policy_config.h
    policies/policy_file.h
    policies/signals.h
    router/backend.h
    router/catalogue.h
    router/cloud_backend.h
    router/decision_log.h
    router/far_sides.h
    router/ledger.h
    router/local_backend.h
    router/query.h
    router/router.h
    router/signals/signal_source.h)

foreach(header ${NEARFAR_PUBLIC_HEADERS})
  get_filename_component(folder ${header} DIRECTORY)
  install(FILES ${CMAKE_SOURCE_DIR}/${header} DESTINATION ${NEARFAR_HEADER_DIR}/${folder})
endforeach()

# nearfar_engine is nearfar::engine to those who find the package, as it is in the tree.
set(NEARFAR_LIBRARIES nearfar_schema nearfar_grpc nearfar_engine nearfar_policy nearfar_policy_file
                      nearfar_cloud nearfar_router nearfar_local_backend nearfar_cloud_backend
                      nearfar_catalogue)
foreach(library ${NEARFAR_LIBRARIES})
  string(REPLACE nearfar_ "" short ${library})
  set_target_properties(${library} PROPERTIES EXPORT_NAME ${short})
  target_include_directories(${library} INTERFACE $<INSTALL_INTERFACE:${NEARFAR_HEADER_DIR}>)
  target_compile_features(${library} INTERFACE cxx_std_20)
endforeach()
install(TARGETS ${NEARFAR_LIBRARIES} EXPORT nearfarTargets
        ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT nearfarTargets NAMESPACE nearfar:: DESTINATION ${NEARFAR_PACKAGE_DIR})

install(TARGETS nearfar nearfard RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${CMAKE_SOURCE_DIR}/policies/presets ${CMAKE_SOURCE_DIR}/policies/calibrations
        DESTINATION ${CMAKE_INSTALL_DATADIR}/nearfar FILES_MATCHING PATTERN "*.yaml")

configure_package_config_file(
  ${CMAKE_SOURCE_DIR}/cmake/nearfarConfig.cmake.in ${CMAKE_BINARY_DIR}/nearfarConfig.cmake
  INSTALL_DESTINATION ${NEARFAR_PACKAGE_DIR})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/nearfarConfigVersion.cmake
                                 COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/nearfarConfig.cmake ${CMAKE_BINARY_DIR}/nearfarConfigVersion.cmake
        DESTINATION ${NEARFAR_PACKAGE_DIR})
